"""How a call was answered, with what grpc-status-details-bin says."""

import collections
import sys

from servers import RUNFILES
import grpc

sys.path.insert(0, str(RUNFILES / "tests/integration/stubs/google/rpc"))

import error_details_pb2  # noqa: E402 (found through the path above)
import status_pb2  # noqa: E402

# code and text as the client sees them; the rest is None or empty unless the error is Cairn's.
# `fields` are those of BadRequest, `retry` the seconds of RetryInfo, `pushback` the trailer of
# that name.
Answer = collections.namedtuple(
    "Answer", "code text reason domain metadata fields retry pushback response",
    defaults=(None, None, {}, [], None, None, None))


def _detail(status, kind):
    for any_of in status.details:
        found = kind()
        if any_of.Unpack(found):
            return found
    return None


def error_answer(error):
    """The Answer of a grpc.RpcError."""
    trailers = dict(error.trailing_metadata() or ())
    answer = Answer(error.code(), error.details(),
                    pushback=trailers.get("grpc-retry-pushback-ms"))
    if "grpc-status-details-bin" not in trailers:
        return answer
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    if (status.code, status.message) != (error.code().value[0], error.details()):
        raise AssertionError(f"details of another error: {status}, {error}")
    info = _detail(status, error_details_pb2.ErrorInfo)
    bad = _detail(status, error_details_pb2.BadRequest)
    retry = _detail(status, error_details_pb2.RetryInfo)
    return answer._replace(
        reason=info.reason, domain=info.domain, metadata=dict(info.metadata),
        fields=[each.field for each in bad.field_violations] if bad else [],
        retry=retry.retry_delay.ToMilliseconds() / 1000 if retry else None)


def answer_of(call, streams):
    """Makes the call; `streams`: it answers with a stream, whose first error or end counts."""
    try:
        response = list(call()) if streams else call()
    except grpc.RpcError as error:
        return error_answer(error)
    return Answer(grpc.StatusCode.OK, "", response=response)
