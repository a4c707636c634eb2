"""The Python SDK signs in by OAuth: see sign-in.test.mjs. MCP_SESSION is the person's session, with which this program decides for them."""

import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

OLDER = "2025-11-25"


class Memory:
    """Keeps what the SDK gets."""

    tokens = None
    client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


class Person:
    """The person's browser, as far as a program sees it."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.result: AuthorizationCodeResult | None = None

    async def go(self, address: str) -> None:
        session = {"authorization": f"Bearer {os.environ['MCP_SESSION']}"}
        async with httpx2.AsyncClient(base_url=self.app) as http:
            began = await http.get(address)
            assert began.status_code == 303 and began.headers["location"].startswith("/authorize?"), began.text
            query = urlsplit(began.headers["location"]).query
            wanted = (await http.get(f"/oauth/authorization?{query}", headers=session)).json()
            decision = {"request": wanted["request"], "decision": "allow"}
            decided = await http.post("/oauth/authorization", headers=session, json=decision)
        sent = parse_qs(urlsplit(decided.json()["redirect_to"]).query)
        self.result = AuthorizationCodeResult(**{name: sent[name][0] for name in ("code", "state", "iss")})

    async def back(self) -> AuthorizationCodeResult:
        assert self.result is not None
        return self.result


async def main(url: str, revision: str) -> None:
    person, memory = Person(url.removesuffix("/mcp")), Memory()
    metadata = OAuthClientMetadata(
        client_name="Python SDK", redirect_uris=["http://127.0.0.1:49152/callback"], token_endpoint_auth_method="none"
    )

    async def called(auth: OAuthClientProvider) -> dict:
        async with (
            httpx2.AsyncClient(auth=auth) as http,
            Client(streamable_http_client(url, http_client=http), mode="legacy" if revision == OLDER else "auto") as client,
        ):
            tools = await client.list_tools()
            result = await client.call_tool("calculator_calculate", {"expression": "0.1+0.2"})
            return {
                "revision": client.protocol_version,
                "tools": [tool.name for tool in tools.tools],
                "result": result.structured_content,
            }

    provider = OAuthClientProvider(url, metadata, memory, person.go, person.back)
    first = await called(provider)
    # The access token is over. The person is not asked again.
    refresh_token, person.result = memory.tokens.refresh_token, None
    provider.context.token_expiry_time = 1
    again = await called(provider)
    print(json.dumps({**first, "again": again["result"], "rotated": memory.tokens.refresh_token != refresh_token}))


asyncio.run(main(*sys.argv[1:]))
