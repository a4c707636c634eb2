"""A tool provider in Python: a component that exports `wit/provider.wit`, made by componentize-py.

What the adapter does for it: MCP, HTTP, and checking arguments against `input_schema`. It never sees who calls.
docs/tools.md is the guide.
"""

import json
import re
import secrets

# `wit_world` is generated from the contract: `componentize-py -d wit -w tool-provider bindings FOLDER` writes it out to read.
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.provider import (
    Annotations,
    Completion,
    CompletionRequest,
    Content_Text,
    Context,
    Description,
    Failure_InvalidArguments,
    Failure_Unknown,
    Failure_UpstreamFailed,
    Outcome,
    PromptReply,
    Reply,
    Reply_Done,
    ResourceReply,
    Tool,
    ToolCall,
)

# All at top level, imports too, runs once while the component is built; every instance begins with a copy of what it left.
# So nothing here may depend on the time, on chance or on a secret. What is imported later is not in the component.

# Nobody interrupts a long loop, and whatever else the instance is doing waits for it: bound the work.
DICE_MAX = 100
SIDES_MAX = 1000

NOTATION = re.compile(r"\s*(\d{0,3})\s*[dD]\s*(\d{1,4})\s*(?:([+-])\s*(\d{1,6}))?\s*", re.ASCII)

ROLL = Tool(
    name="roll",
    title="Roll dice",
    # The model decides by this when to call the tool: say what it does and when to use it.
    description='Rolls dice. Use it whenever chance should decide; never make up a roll. "3d6+2" is three dice with six sides each, and 2 added.',
    # The model reads the descriptions in here too. Arguments that do not fit never arrive.
    input_schema=json.dumps(
        {
            "type": "object",
            "properties": {
                "dice": {
                    "type": "string",
                    "description": f'Dice notation: "d20", "3d6+2". At most {DICE_MAX} dice with at most {SIDES_MAX} sides.',
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
            "properties": {
                "rolls": {"type": "array", "items": {"type": "integer"}},
                "total": {"type": "integer"},
            },
            "required": ["rolls", "total"],
        }
    ),
    # What calling it may do, honestly: what is not read_only asks the person first, and only what is idempotent is called again
    # when its outcome was lost. open_world is for tools that bring in what others wrote.
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False, always_asks=False),
    # Names of entries in `Description.secrets`; the call brings their values in `context.secrets`.
    secrets=[],
    # No: a second roll must not be the first one again.
    cache_ms=None,
)


def roll(arguments: dict) -> Outcome:
    """Rolls, or raises a failure whose words tell the model what to do next."""
    parts = NOTATION.fullmatch(arguments["dice"])
    if parts is None:
        raise Err(Failure_InvalidArguments('Write the dice as "d20" or "3d6+2".'))
    count, sides = int(parts[1] or 1), int(parts[2])
    if not 1 <= count <= DICE_MAX or not 1 <= sides <= SIDES_MAX:
        raise Err(Failure_InvalidArguments(f"Roll 1 to {DICE_MAX} dice with 1 to {SIDES_MAX} sides."))
    # From the host, now: a generator made at top level would be part of the copy, and roll the same in every instance.
    rolls = [1 + secrets.randbelow(sides) for _ in range(count)]
    total = sum(rolls) + int((parts[3] or "+") + (parts[4] or "0"))
    return Outcome(
        # For the model and the person.
        content=[Content_Text(f"{arguments['dice'].strip()} = {total} ({', '.join(map(str, rolls))})")],
        # The same for programs: JSON that fits output_schema.
        structured=json.dumps({"rolls": rolls, "total": total}),
    )


TOOLS = {ROLL.name: (ROLL, roll)}


class Provider(exports.Provider):
    """What the contract asks for, under the name that componentize-py looks for."""

    async def describe(self) -> Description:
        # Remembered by whoever asks, so it must be the same for everybody.
        return Description(
            name="dice",
            title="Dice",
            version="0.1.0",
            # How to use these tools together, for the model.
            instructions=None,
            tools=[tool for tool, _ in TOOLS.values()],
            # What a person must enter once, such as an API key.
            secrets=[],
            resources=[],
            templates=[],
            prompts=[],
            has_completions=False,
            has_logging=False,
        )

    async def call_tool(self, call: ToolCall) -> Reply:
        if call.name not in TOOLS:
            raise Err(Failure_Unknown(call.name))
        _, function = TOOLS[call.name]
        try:
            return Reply_Done(function(json.loads(call.arguments)))
        except Err:
            raise
        # Any other exception would end the instance, and with it every call that it is answering.
        except Exception as error:
            raise Err(Failure_UpstreamFailed(f"{call.name} has a bug: {error!r}"))

    # The rest is asked only of a provider that describes resources, prompts or completions.

    async def read_resource(self, uri: str, context: Context) -> ResourceReply:
        raise Err(Failure_Unknown(uri))

    async def get_prompt(self, name: str, arguments: str, context: Context) -> PromptReply:
        raise Err(Failure_Unknown(name))

    async def complete(self, request: CompletionRequest) -> Completion:
        raise Err(Failure_Unknown(request.of))
