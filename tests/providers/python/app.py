"""A tool provider in Python: a component that exports `wit/provider.wit`, built by componentize-py.

The adapter handles MCP and HTTP, and checks arguments against `input_schema`. A provider never sees who calls.
docs/tools.md is the guide.
"""

import inspect
import json
import sys
import traceback
from collections.abc import AsyncGenerator

# `wit_world` is generated from the contract. To read it, run
# `componentize-py -d wit -w tool-provider-with-http bindings FOLDER`.
import wit_world
from componentize_py_async_support import spawn
from componentize_py_types import Err, Ok, Result
from wit_world import exports
from wit_world.exports.provider import (
    Annotations,
    Completion,
    CompletionRequest,
    Content_Text,
    Context,
    Description,
    Failure,
    Failure_InvalidArguments,
    Failure_NotConfigured,
    Failure_Unknown,
    Failure_UpstreamFailed,
    Notice_Done,
    Notice_Progress,
    Outcome,
    Progress,
    PromptReply,
    Reply,
    Reply_Done,
    Reply_Live,
    ResourceReply,
    Secret,
    Tool,
    ToolCall,
)
from wit_world.imports import monotonic_clock

import tool
from fetch import fetch

# Code at top level, including imports, runs once, while the component is built. Every instance starts with a copy of
# the result. So this code must not depend on the time, on chance or on a secret. Modules that are imported later are
# not in the component.

# The model also reads the descriptions in a schema. Arguments that do not fit it never arrive.
ROLL = Tool(
    name="roll",
    title="Roll dice",
    # The model decides by the description when to call the tool: say what it does and when to use it.
    description='Rolls dice. Use it whenever chance should decide; never make up a roll. "3d6+2" is three dice with six sides each, and 2 added.',
    input_schema=json.dumps(
        {
            "type": "object",
            "properties": {
                "dice": {
                    "type": "string",
                    "description": f'Dice notation: "d20", "3d6+2". At most {tool.DICE_MAX} dice with at most {tool.SIDES_MAX} sides.',
                    "maxLength": 32,
                }
            },
            "required": ["dice"],
            "additionalProperties": False,
        }
    ),
    # The schema of `structured` below, for programs; None if there is only text.
    output_schema=json.dumps(
        {
            "type": "object",
            "properties": {"rolls": {"type": "array", "items": {"type": "integer"}}, "total": {"type": "integer"}},
            "required": ["rolls", "total"],
        }
    ),
    # The effects of a call. A tool that is not read_only asks the person first. Only an idempotent call is repeated
    # when its result was lost. open_world is for tools that return what others wrote.
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False, always_asks=False),
    # Names of entries in SECRETS. The call brings their values in `context.secrets`.
    secrets=[],
    # No caching: a second roll must not be the first one again.
    cache_ms=None,
)


async def roll(arguments: dict, context: Context) -> Outcome:
    try:
        rolls, total = tool.roll(arguments["dice"])
    except ValueError as error:
        raise Err(Failure_InvalidArguments(str(error)))
    text = f"{arguments['dice'].strip()} = {total} ({', '.join(map(str, rolls))})"
    return Outcome(content=[Content_Text(text)], structured=json.dumps({"rolls": rolls, "total": total}))


# A tool that takes a while yields its progress, and its result at the end.
COUNT_DOWN = Tool(
    name="count_down",
    title="Count down",
    description="Counts down to zero. Use it when somebody wants to see a count-down.",
    input_schema=json.dumps(
        {
            "type": "object",
            "properties": {"start": {"type": "integer", "description": "Where to begin.", "minimum": 1, "maximum": 20}},
            "required": ["start"],
            "additionalProperties": False,
        }
    ),
    output_schema=None,
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False, always_asks=False),
    secrets=[],
    cache_ms=None,
)
STEP_NS = 300_000_000


async def count_down(arguments: dict, context: Context) -> AsyncGenerator[Progress | Outcome]:
    start = arguments["start"]
    for done in range(start):
        yield Progress(progress=done, total=start, message=f"{start - done} to go")
        await monotonic_clock.wait_for(STEP_NS)
    yield Outcome(content=[Content_Text("Lift-off.")], structured=None)


# An API with a key. Write its address here and, as `allowed_outbound_hosts = ["https://api.example.com"]`, into the
# section of `spin.toml`. Then add LOOK_UP and `look_up` to TOOLS.
API = "https://api.example.com/"
SECRETS = [
    Secret(name="key", title="API key", description="From your account there.", visible=False, optional=False),
]
LOOK_UP = Tool(
    name="look_up",
    title="Look up",
    description="Looks something up at api.example.com.",
    input_schema=json.dumps({"type": "object", "properties": {}, "additionalProperties": False}),
    output_schema=None,
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=True, always_asks=False),
    secrets=["key"],
    cache_ms=None,
)


# `dict(context.preferences)` has the person's language as "locale" and their time zone as "time-zone", where they are known.
async def look_up(arguments: dict, context: Context) -> Outcome:
    key = dict(context.secrets).get("key")
    if key is None:
        raise Err(Failure_NotConfigured('enter "API key" under Tools in the settings'))
    answer = await fetch("GET", API, {"authorization": f"Bearer {key}"}, limit_bytes=100_000, timeout=20)
    if answer.status != 200:
        raise Err(Failure_UpstreamFailed(f"it answered {answer.status}"))
    return Outcome(content=[Content_Text(answer.body.decode(errors="replace"))], structured=None)


TOOLS = [(ROLL, roll), (COUNT_DOWN, count_down)]


class Provider(exports.Provider):
    """The functions of the contract, under the name that componentize-py requires."""

    async def describe(self) -> Description:
        tools = [tool for tool, _ in TOOLS]
        named = {name for tool in tools for name in tool.secrets}
        # The caller remembers this, so it must be the same for everybody.
        return Description(
            name="dice",
            title="Dice",
            version="0.1.0",
            # How to use these tools together, for the model.
            instructions=None,
            tools=tools,
            secrets=[secret for secret in SECRETS if secret.name in named],
            resources=[],
            templates=[],
            prompts=[],
            has_completions=False,
        )

    async def call_tool(self, call: ToolCall) -> Reply:
        function = next((function for tool, function in TOOLS if tool.name == call.name), None)
        if function is None:
            raise Err(Failure_Unknown(call.name))
        if inspect.isasyncgenfunction(function) and call.context.wants_progress:
            writer, reader = wit_world.provider_notice_stream()
            spawn(tell(call, function, writer))
            return Reply_Live(reader)
        match await end(call, function):
            case Ok(outcome):
                return Reply_Done(outcome)
            case failed:
                raise failed

    # The rest is used only by providers with resources, prompts or completions.

    async def read_resource(self, uri: str, context: Context) -> ResourceReply:
        raise Err(Failure_Unknown(uri))

    async def get_prompt(self, name: str, arguments: str, context: Context) -> PromptReply:
        raise Err(Failure_Unknown(name))

    async def complete(self, request: CompletionRequest, context: Context) -> Completion:
        raise Err(Failure_Unknown(request.of))


class NoOutcome(Exception):
    """A function ended without a valid Outcome. The message is written in this file, so the log may contain it."""


async def steps(call: ToolCall, function):
    """Yields the progress of a function, and at the end its outcome or its failure."""
    try:
        result = function(json.loads(call.arguments), call.context)
        if not inspect.isasyncgen(result):
            yield ended(await result if inspect.isawaitable(result) else result)
            return
        async for step in result:
            if not isinstance(step, Progress):
                yield ended(step)
                return
            yield step
        raise NoOutcome("its last `yield` is not an Outcome")
    except Exception as error:
        yield failure(call, error)


def ended(result) -> Result:
    if not isinstance(result, Outcome):
        raise NoOutcome(f"it returned a value of type {type(result).__name__}, not an Outcome(content=[Content_Text(...)], structured=...)")
    texts = [part.value for part in result.content if isinstance(part, Content_Text)]
    if not all(isinstance(text, str) for text in texts):
        raise NoOutcome("the text in a Content_Text is not a str")
    # Any other type would end the instance, and with it every call that it is answering.
    if not isinstance(result.structured, str | None):
        raise NoOutcome("`structured` is not JSON text: write json.dumps(...), or None")
    return Ok(result)


def failure(call: ToolCall, error: Exception) -> Err:
    if isinstance(error, Err) and isinstance(error.value, Failure):
        return error
    # Any other exception would end the instance, and with it every call that it is answering. The component's log gets
    # the exception's type and place, but not its message, which may quote people or a secret. Only the message of
    # a NoOutcome is logged.
    words = f": {error}" if isinstance(error, NoOutcome) else ""
    print(f"the tool {call.name} has a fault: {type(error).__name__}{words}", file=sys.stderr)
    traceback.print_tb(error.__traceback__)
    return Err(Failure_UpstreamFailed("the tool has a fault, whose place is in the log of its component"))


async def end(call: ToolCall, function) -> Result:
    async for step in steps(call, function):
        last = step
    return last


async def tell(call: ToolCall, function, writer) -> None:
    with writer:
        async for step in steps(call, function):
            notice = Notice_Progress(step) if isinstance(step, Progress) else Notice_Done(step)
            # Nobody listens any more.
            if await writer.write([notice]) == 0:
                return
