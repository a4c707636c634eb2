"""A to-do list as a JSON API, for tests: started with the port it listens on, it ends when its standard input does."""

import os
import sys
import threading
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Form, Header, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBasicCredentials, HTTPBearer
from pydantic import BaseModel, Field

PORT = int(sys.argv[1])
app = FastAPI(title="Todo", description="A list of things to do.", servers=[{"url": f"http://127.0.0.1:{PORT}"}])


class Draft(BaseModel):
    title: str = Field(min_length=1, max_length=50, description="What is to be done.")
    done: bool = False
    tags: list[str] = []
    due: str | None = None


class Todo(Draft):
    id: int


todos: dict[int, Todo] = {}
changed = threading.Lock()


def key(value: Annotated[str, Depends(APIKeyHeader(name="X-Key", description="Your key, from the front page."))]):
    if value != "a key to the list":
        raise HTTPException(403, "This key opens nothing.")


Keyed = Depends(key)


@app.get("/todos", operation_id="list_todos", summary="List what is to be done", dependencies=[Keyed])
def list_todos(done: bool | None = None, tag: Annotated[list[str] | None, Query()] = None, limit: int = 50) -> list[Todo]:
    fits = lambda it: (done is None or it.done == done) and all(t in it.tags for t in tag or [])
    return [it for it in todos.values() if fits(it)][:limit]


@app.post("/todos", operation_id="create_todo", status_code=201, dependencies=[Keyed])
def create_todo(draft: Draft) -> Todo:
    with changed:
        made = Todo(id=len(todos) + 1, **draft.model_dump())
        todos[made.id] = made
    return made


def found(id: int) -> Todo:
    if id not in todos:
        raise HTTPException(404, f"There is no {id}.")
    return todos[id]


@app.get("/todos/{id}", operation_id="get_todo", dependencies=[Keyed])
def get_todo(id: int) -> Todo:
    return found(id)


@app.put("/todos/{id}", operation_id="update_todo", dependencies=[Keyed])
def update_todo(id: int, draft: Draft) -> Todo:
    todos[found(id).id] = Todo(id=id, **draft.model_dump())
    return todos[id]


@app.delete("/todos/{id}", operation_id="delete_todo", status_code=204, dependencies=[Keyed])
def delete_todo(id: int) -> None:
    del todos[found(id).id]


@app.get("/old", operation_id="old", deprecated=True)
def old() -> None: ...


@app.post("/form", operation_id="send_form")
def send_form(name: Annotated[str, Form()], colour: Annotated[list[str], Form()] = []) -> dict:
    return {"name": name, "colour": colour}


@app.get("/notes/{name}", operation_id="get_note")
def get_note(request: Request, name: str, trace: Annotated[str | None, Header(alias="X-Trace")] = None) -> dict:
    return {"name": name, "trace": trace, "raw": request.scope["raw_path"].decode()}


@app.get("/admin", operation_id="admin")
def admin() -> dict:
    return {"secret": "of the administrator"}


@app.get("/echo-query", operation_id="query_key", dependencies=[Depends(APIKeyQuery(name="token"))])
def query_key(fail: bool = False) -> dict:
    if fail:
        raise HTTPException(500, "It broke.")
    return {"fine": True}


@app.get("/bearer", operation_id="bearer")
def bearer(token: Annotated[object, Depends(HTTPBearer())]) -> dict:
    return {"token": token.credentials}


@app.get("/basic", operation_id="basic")
def basic(who: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> dict:
    return {"who": who.username, "right": who.password == "pass:word"}


@app.get("/elsewhere", operation_id="elsewhere")
def elsewhere() -> Response:
    return RedirectResponse("https://elsewhere.example/todos?token=hush")


@app.get("/moved", operation_id="moved")
def moved() -> Response:
    return RedirectResponse("/notes/moved")


@app.get("/round", operation_id="round")
def round_and_round() -> Response:
    return RedirectResponse("/round")


def mirror(request: Request, fail: bool = False, pad: int = 0) -> dict:
    seen = {"pad": "x" * pad, "headers": dict(request.headers), "query": request.url.query}
    if fail:
        raise HTTPException(500, seen)
    return seen


for how, scheme in {"basic": HTTPBasic(), "bearer": HTTPBearer(), "query": APIKeyQuery(name="token")}.items():
    app.get(f"/mirror/{how}", operation_id=f"mirror_{how}", dependencies=[Depends(scheme)])(mirror)


@app.post("/posted", operation_id="posted")
def posted(to: str = "/todos", status: int = 307) -> Response:
    return RedirectResponse(to, status)


@app.get("/huge", operation_id="huge")
@app.post("/huge", operation_id="post_huge")
def huge() -> Response:
    return Response("x" * 2_000_000, media_type="text/plain")


@app.get("/image", operation_id="image")
@app.post("/image", operation_id="post_image")
def image() -> Response:
    return Response(b"\x89PNG\r\n", media_type="image/png")


@app.get("/text", operation_id="text")
def text() -> Response:
    return Response("Grüße", media_type="text/plain; charset=utf-8")


@app.get("/slow", operation_id="slow")
@app.post("/slow", operation_id="post_slow")
def slow() -> None:
    threading.Event().wait(30)


@app.get("/busy", operation_id="busy")
def busy() -> Response:
    return Response("slow down", status_code=429, headers={"Retry-After": "17"})


def end_with_the_tests():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_the_tests, daemon=True).start()
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", timeout_graceful_shutdown=1)
