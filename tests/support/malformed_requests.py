"""Malformed bodies of requests: what JSON can do to who reads it. Sent to POST /v1/datasets."""

from tests.support.malformed import Malformed, case

_LABEL = '"label": {"kind": "segmentation", "classes": ["a", "b"]}'
_DEEP = 150_000
_BODIES = {
    "nothing": "",
    "blanks": " \n ",
    "null": "null",
    "number": "1e5",
    "text": '"label"',
    "list": "[]",
    "empty": "{}",
    "cut": '{"label": {"kind": "segm',
    "unclosed": "{" + _LABEL,
    "two": "{" + _LABEL + "}{}",
    "trailing": "{" + _LABEL + "} x",
    "comma-behind": "{" + _LABEL + ",}",
    "single-quotes": "{'label': 1}",
    "comment": "{" + _LABEL + " /* none */}",
    "xml": "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "yaml": "label: !!python/object/apply:os.system ['true']",
    "form": "label=segmentation&name=x",
    "zero": "\0",
    "zero-inside": '{"name": "a\0b", ' + _LABEL + "}",
    "deep-lists": "[" * _DEEP + "]" * _DEEP,
    "deep-objects": '{"a":' * _DEEP + "1" + "}" * _DEEP,
    "deep-unclosed": "[" * _DEEP,
    "deep-label": '{"label": ' + '{"label":' * 900 + "1" + "}" * 901,
    "deep-policy": '{"fit": {"policy": ' + '{"name":' * 900 + "1" + "}" * 902,
    "deep-options": '{"options": ' + '{"a":' * 900 + "1" + "}" * 900 + ", " + _LABEL + "}",
    "endless-number": '{"name": 1' + "0" * 9000 + "}",
    "huge-number": '{"label": {"kind": "depth", "largest": 1e999}}',
    "nan": '{"label": {"kind": "depth", "largest": NaN}}',
    "minus-infinity": '{"label": {"kind": "depth", "smallest": -Infinity}}',
    "huge-index": '{"label": {"kind": "segmentation", "classes": ["a", "b"], "ignore_index": '
    + "9" * 400
    + "}}",
    "half-a-character": '{"name": "\\ud800", ' + _LABEL + "}",
    "half-a-class": '{"label": {"kind": "segmentation", "classes": ["\\udfff", "b"]}}',
    "long-name": '{"name": "' + "n" * 900_000 + '", ' + _LABEL + "}",
    "long-key": '{"' + "k" * 900_000 + '": 1, ' + _LABEL + "}",
    "too-large": '{"name": "' + "n" * 10_000_000 + '", ' + _LABEL + "}",
    "unknown-fields": "{" + ",".join(f'"{n}": 1' for n in range(50_000)) + "}",
    "unknown-field": '{"admin": true, ' + _LABEL + "}",
    "prototype": '{"__proto__": {"admin": true}, ' + _LABEL + "}",
    "dunder": '{"__class__": "os.system", ' + _LABEL + "}",
    "twice-the-label": "{" + _LABEL + ', "label": 5}',
    "no-kind": '{"label": {"classes": ["a", "b"]}}',
    "other-kind": '{"label": {"kind": "video", "classes": ["a", "b"]}}',
    "kind-a-number": '{"label": {"kind": 5}}',
    "classes-a-text": '{"label": {"kind": "segmentation", "classes": "ab"}}',
    "classes-numbers": '{"label": {"kind": "segmentation", "classes": [1, 2]}}',
    "classes-one": '{"label": {"kind": "segmentation", "classes": ["a"]}}',
    "classes-many": '{"label": {"kind": "segmentation", "classes": ['
    + ",".join(f'"{n}"' for n in range(30_000))
    + "]}}",
    "classes-alike": '{"label": {"kind": "segmentation", "classes": ["a", "a"]}}',
    "palette-lying": '{"label": {"kind": "segmentation", "classes": ["a", "b"], "palette": [[1]]}}',
    "skeleton-of-nobody": '{"label": {"kind": "keypoints", "names": ["a"], "skeleton": [[0, 9]]}}',
    "canvas-huge": '{"fit": {"canvas": {"height": 1e9, "width": 1000000000}}, ' + _LABEL + "}",
    "canvas-negative": '{"fit": {"canvas": {"height": -1, "width": 8}}, ' + _LABEL + "}",
    "layout-a-path": '{"layout": "../../etc/passwd", "upload_id": "upl_1", ' + _LABEL + "}",
    "upload-a-path": '{"upload_id": "../../../etc/passwd", ' + _LABEL + "}",
    "upload-of-another-kind": '{"upload_id": "gen_1", ' + _LABEL + "}",
    "domain-a-path": '{"domain": "/etc/passwd"}',
    "name-a-list": '{"name": ["a"], ' + _LABEL + "}",
}


def requests() -> list[Malformed]:
    """All of them."""
    return [
        *(case(f"body-{name}", "body", text.encode()) for name, text in _BODIES.items()),
        case("body-no-utf-8", "body", b'{"name": "\xff\xfe"}'),
        case("body-latin-1", "body", '{"name": "é"}'.encode("latin-1")),
        case("body-gzipped", "body", b"\x1f\x8b\x08\0" + bytes(30)),
        case("body-picture", "body", b"\x89PNG\r\n\x1a\n" + bytes(30)),
    ]
