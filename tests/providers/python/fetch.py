"""HTTP requests with a limit on size and time, to the hosts in `allowed_outbound_hosts` of the component in `spin.toml`, and never into the app itself.

Redirects are not followed, and a compressed body is not decompressed.
"""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from componentize_py_async_support import spawn
from componentize_py_types import Err, Ok
import wit_world
from wit_world.exports.provider import Failure, Failure_TimedOut, Failure_UpstreamFailed
from wit_world.imports import client, monotonic_clock
from wit_world.imports.wasi_http_types import (
    ErrorCode,
    ErrorCode_ConnectionReadTimeout,
    ErrorCode_ConnectionTimeout,
    ErrorCode_HttpRequestDenied,
    ErrorCode_HttpResponseTimeout,
    Fields,
    HeaderError,
    Method_Other,
    Request,
    RequestOptions,
    Response,
    Scheme_Http,
    Scheme_Https,
)

SCHEMES = {"http": Scheme_Http(), "https": Scheme_Https()}
# The names under which the parts of the app reach each other: these, and all below them.
INSIDE = ("spin.internal", "self.alt")
TIMEOUTS = (ErrorCode_ConnectionReadTimeout, ErrorCode_ConnectionTimeout, ErrorCode_HttpResponseTimeout)
PIECE_BYTES = 64 * 1024


@dataclass
class Answer:
    status: int
    # Names in lower case. If a name occurs twice, the last one counts.
    headers: dict[str, str]
    body: bytes


async def fetch(
    method: str, url: str, headers: dict[str, str] = {}, body: bytes = b"", *, limit_bytes: int, timeout: float
) -> Answer:
    """Sends a request and reads the whole answer, or raises a failure with a message. A status of 4xx or 5xx is an answer.

    `timeout` is in seconds. It limits each wait for the server. The sum of the waits is checked after the headers and after each piece of the
    body, so a slow server can take several times as long before the failure is raised.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        # The exception's message repeats the address, and with it a password in it.
        raise Err(Failure_UpstreamFailed("the address of the request is not valid"))
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in SCHEMES or not parts.hostname or is_inside(parts.hostname):
        raise Err(Failure_UpstreamFailed(f"this tool may not reach {host or url}"))
    limit = int(timeout * 1e9)
    ends = monotonic_clock.now() + limit
    try:
        response = await client.send(request(method, parts, host, headers, body, limit))
        if monotonic_clock.now() > ends:
            raise Err(Failure_TimedOut())
        status, fields = response.get_status_code(), response.get_headers().copy_all()
        _, whole = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
        reader, trailers = Response.consume_body(response, whole)
        answer = b""
        with reader:
            while not reader.writer_dropped:
                answer += await reader.read(PIECE_BYTES)
                if len(answer) > limit_bytes:
                    raise Err(Failure_UpstreamFailed(f"the answer of {host} is longer than {limit_bytes} bytes"))
                if monotonic_clock.now() > ends:
                    raise Err(Failure_TimedOut())
        ended = await trailers.read()
        if isinstance(ended, Err):
            raise ended
    except Err as error:
        raise failure(error, host)
    return Answer(status, {name.lower(): value.decode("latin-1") for name, value in fields}, answer)


def request(method: str, parts, host: str, headers: dict[str, str], body: bytes, limit: int) -> Request:
    length = {"content-length": str(len(body))} if body else {}
    fields = Fields.from_list([(name, value.encode()) for name, value in (headers | length).items()])
    contents = None
    if body:
        writer, contents = wit_world.byte_stream()
        spawn(write(writer, body))
    # Each wait may take this long. `fetch` checks their sum.
    options = RequestOptions()
    options.set_connect_timeout(limit)
    options.set_first_byte_timeout(limit)
    options.set_between_bytes_timeout(limit)
    _, trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))
    made, _ = Request.new(fields, contents, trailers, options)
    made.set_method(Method_Other(method.upper()))
    made.set_scheme(SCHEMES[parts.scheme])
    made.set_authority(host)
    made.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    return made


async def write(writer, body: bytes) -> None:
    with writer:
        await writer.write_all(body)


def failure(error: Err, host: str) -> Err:
    """Converts an error to a failure of the provider. Any other value in an `Err` would end the instance."""
    match error.value:
        case value if isinstance(value, Failure):
            return error
        case ErrorCode_HttpRequestDenied():
            return Err(Failure_UpstreamFailed(f"this tool may not reach {host}"))
        case value if isinstance(value, TIMEOUTS):
            return Err(Failure_TimedOut())
        case value if isinstance(value, ErrorCode):
            words = type(value).__name__.removeprefix("ErrorCode_")
            return Err(Failure_UpstreamFailed(f"{host} does not answer: {words}"))
        case value if isinstance(value, HeaderError):
            words = f"a header is not valid ({type(value).__name__.removeprefix('HeaderError_')})"
            return Err(Failure_UpstreamFailed(f"the request to {host} cannot be made: {words}"))
        case _:
            words = "its method or its address is not valid; encode special characters with urllib.parse.quote"
            return Err(Failure_UpstreamFailed(f"the request to {host} cannot be made: {words}"))


def is_inside(host: str) -> bool:
    """Normalized like a resolver does it: a dot at the end, case and percent-encoding do not matter."""
    host = unquote(host).lower().strip().rstrip(".")
    return any(host == name or host.endswith(f".{name}") for name in INSIDE)
