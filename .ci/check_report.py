"""Is the demo's report complete, and are its figures those of a working service?"""

import json
import sys
from hashlib import sha256
from pathlib import Path

REQUIRED = {
    "stages": dict,
    "images": int,
    "generated": int,
    "miou": dict,
    "per_class_iou": dict,
    "inversion": dict,
    "shards": list,
    "versions": dict,
    "device": str,
}
GIB = 2**30


def problems(report: dict, folder: Path) -> list[str]:
    """What is missing or wrong, a sentence each."""
    found = [
        f"report.json: {name} is missing or no {kind.__name__}"
        for name, kind in REQUIRED.items()
        if not isinstance(report.get(name), kind)
    ]
    if found:
        return found
    synthetic, real = report["miou"]["synthetic"], report["miou"]["real16"]
    seconds = sum(report["stages"].values())
    checks = {
        f"{report['images']} images were used, not 16": report["images"] == 16,
        f"{report['generated']} images were generated, not 2000": report["generated"] == 2000,
        f"the stages took {seconds:.0f} s, more than 15 minutes": seconds <= 15 * 60,
        f"mIOU {synthetic:.3f} of the generated images is below 0.7": synthetic >= 0.7,
        f"mIOU {synthetic:.3f} is not above the 16 real images' {real:.3f}": synthetic > real,
        "the shards do not hold 2000 samples": sum(s["samples"] for s in report["shards"]) == 2000,
    }
    found += [sentence for sentence, holds in checks.items() if not holds]
    for shard in report["shards"]:
        path = folder / shard["path"]
        if not path.is_file():
            found.append(f"{path} is missing")
        elif sha256(path.read_bytes()).hexdigest() != shard["sha256"]:
            found.append(f"{path} is not the file of its digest")
    for picture in ("overview.png", "inversions.png"):
        if not (folder / picture).is_file():
            found.append(f"{folder / picture} is missing")
    return found


def main() -> int:
    """Check the report whose path is the only argument; 1 if anything is wrong."""
    path = Path(sys.argv[1])
    found = problems(json.loads(path.read_text()), path.parent)
    sys.stdout.writelines(f"{sentence}\n" for sentence in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
