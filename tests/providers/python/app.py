"""A tool provider in Python: a component that exports `wit/provider.wit`, made by componentize-py.

What the adapter does for it: MCP, HTTP, and checking arguments against `input_schema`. It never sees who calls.
docs/tools.md is the guide.
"""

import inspect
import json
import sys
import traceback
from collections.abc import AsyncGenerator

# `wit_world` is generated from the contract: `componentize-py -d wit -w tool-provider-with-http bindings FOLDER` writes it out to read.
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

# All at top level, imports too, runs once while the component is built; every instance begins with a copy of what it left.
# So nothing here may depend on the time, on chance or on a secret. What is imported later is not in the component.

# The model reads the descriptions in a schema too. Arguments that do not fit it never arrive.
ROLL = Tool(
    name="roll",
    title="Roll dice",
    # The model decides by this when to call the tool: say what it does and when to use it.
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
    # The shape of `structured` below, for programs; None if there is only text.
    output_schema=json.dumps(
        {
            "type": "object",
            "properties": {"rolls": {"type": "array", "items": {"type": "integer"}}, "total": {"type": "integer"}},
            "required": ["rolls", "total"],
        }
    ),
    # What calling it may do, honestly: what is not read_only asks the person first, and only what is idempotent is called again
    # when its outcome was lost. open_world is for tools that bring in what others wrote.
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False, always_asks=False),
    # Names of entries in SECRETS; the call brings their values in `context.secrets`.
    secrets=[],
    # No: a second roll must not be the first one again.
    cache_ms=None,
)


async def roll(arguments: dict, context: Context) -> Outcome:
    try:
        rolls, total = tool.roll(arguments["dice"])
    except ValueError as error:
        raise Err(Failure_InvalidArguments(str(error)))
    text = f"{arguments['dice'].strip()} = {total} ({', '.join(map(str, rolls))})"
    return Outcome(content=[Content_Text(text)], structured=json.dumps({"rolls": rolls, "total": total}))


# A tool that takes a while yields how far it is, and its outcome at the end.
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


# An API with a key: write its address here and, as `allowed_outbound_hosts = ["https://api.example.com"]`, into the section of
# `spin.toml`; then add LOOK_UP and `look_up` to TOOLS.
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


TOOLS = {tool.name: (tool, function) for tool, function in [(ROLL, roll), (COUNT_DOWN, count_down)]}


class Provider(exports.Provider):
    """What the contract asks for, under the name that componentize-py looks for."""

    async def describe(self) -> Description:
        tools = [tool for tool, _ in TOOLS.values()]
        named = {name for tool in tools for name in tool.secrets}
        # Remembered by whoever asks, so it must be the same for everybody.
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
        if call.name not in TOOLS:
            raise Err(Failure_Unknown(call.name))
        _, function = TOOLS[call.name]
        if inspect.isasyncgenfunction(function) and call.context.wants_progress:
            writer, reader = wit_world.provider_notice_stream()
            spawn(tell(call, function, writer))
            return Reply_Live(reader)
        match await end(call, function):
            case Ok(outcome):
                return Reply_Done(outcome)
            case failed:
                raise failed

    # The rest is asked only of a provider that describes resources, prompts or completions.

    async def read_resource(self, uri: str, context: Context) -> ResourceReply:
        raise Err(Failure_Unknown(uri))

    async def get_prompt(self, name: str, arguments: str, context: Context) -> PromptReply:
        raise Err(Failure_Unknown(name))

    async def complete(self, request: CompletionRequest, context: Context) -> Completion:
        raise Err(Failure_Unknown(request.of))


class NoOutcome(Exception):
    """A function ended without an Outcome."""


async def steps(call: ToolCall, function):
    """Yields the progress of a function, and as the last its outcome or its failure."""
    try:
        result = function(json.loads(call.arguments), call.context)
        if not inspect.isasyncgen(result):
            yield ended(await result)
            return
        async for step in result:
            if not isinstance(step, Progress):
                yield ended(step)
                return
            yield step
        raise NoOutcome
    except Exception as error:
        yield failure(call, error)


def ended(result) -> Result:
    if not isinstance(result, Outcome):
        raise NoOutcome
    return Ok(result)


def failure(call: ToolCall, error: Exception) -> Err:
    if isinstance(error, Err) and isinstance(error.value, Failure):
        return error
    # Any other exception would end the instance, and with it every call that it is answering. The component's log gets its type and place.
    # It does not get the message, which may quote what somebody wrote, or a secret.
    print(f"the tool {call.name} has a fault: {type(error).__name__}", file=sys.stderr)
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
