"""Where a file that is asked for lies: in an upload, or at an address that is allowed."""

from service.dependencies import Call
from service.errors import FieldError, SourceNotAllowed
from workers.addresses import PREFIXES_SETTING, is_allowed, prefixes_for, refusal
from workers.params import FileParams


def require(call: Call, params: FileParams) -> dict[str, str]:
    """What something that needs a file is made of: ids by role; none for an address.

    Raises:
        SourceNotAllowed: the address lies below no allowed prefix.
        Unprocessable, NotFound, NotReady: the upload cannot be used; see `Uploads.require`.
    """
    if params.upload_id is not None:
        call.app.uploads.require(call.tenant, params.upload_id, "/upload_id")
        return {"upload": params.upload_id}
    assert params.source is not None, "who asks for the file knows that there is one"
    prefixes = prefixes_for(call.tenant, call.app.settings.import_prefixes)
    if not is_allowed(params.source, prefixes):
        detail = refusal(params.source, prefixes)
        remedy = f"upload the file, or have its prefix added to the setting {PREFIXES_SETTING}"
        raise SourceNotAllowed(f"source: {detail}", remedy, [FieldError("/source", detail)])
    return {}
