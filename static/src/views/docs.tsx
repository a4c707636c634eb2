/** The description of the API: its routes by subject, each folded until somebody wants to read it. Nothing of a folded one is drawn. */
import { type ComponentChildren, createContext } from "preact";
import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  aboutOf,
  answerOf,
  blocksOf,
  type Content,
  type Description,
  exampleOf,
  type Field,
  kindOf,
  limitsOf,
  type Operation,
  type Piece,
  piecesOf,
  type Route,
  type Schema,
  type Shape,
  shapesOf,
  type Subject,
  subjects,
} from "../description.ts";
import { Icon, Logo } from "./icons.tsx";

type State = { at: "loading" } | { at: "failed"; reason: string } | { at: "ready"; document: Description };

export function Docs() {
  const [state, setState] = useState<State>({ at: "loading" });
  const load = async () => {
    setState({ at: "loading" });
    try {
      const response = await fetch("/openapi.json");
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      setState({ at: "ready", document: (await response.json()) as Description });
    } catch (error) {
      setState({ at: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  };
  useEffect(() => void load(), []);
  switch (state.at) {
    case "loading":
      return (
        <main class="grid h-full place-items-center p-6" aria-busy="true">
          <h1 class="shimmer text-soft">The description of the API is loading…</h1>
        </main>
      );
    case "failed":
      return (
        <main class="grid h-full place-items-center p-6">
          <div class="grid max-w-sm justify-items-center gap-5 text-center" role="alert">
            <Logo size={44} />
            <h1 class="text-xl font-semibold">The description of the API could not be loaded</h1>
            <p class="text-soft">{state.reason}</p>
            <button type="button" class="main-button" onClick={() => void load()}>
              Try again
            </button>
          </div>
        </main>
      );
    case "ready":
      return (
        <Read.Provider value={state.document}>
          <Whole description={state.document} />
        </Read.Provider>
      );
  }
}

/** The description that is shown. */
const Read = createContext<Description | null>(null);

function useDescription(): Description {
  const document = useContext(Read);
  if (document === null) throw new Error("drawn outside of a description");
  return document;
}

export function Whole({ description }: { description: Description }) {
  const [words, setWords] = useState("");
  const found = useMemo(() => subjects(description, words), [description, words]);
  const asked = useAsked();
  return (
    <div class="mx-auto flex max-w-6xl gap-10 px-4 sm:px-6">
      <nav class="sticky top-0 hidden max-h-screen w-56 shrink-0 overflow-y-auto py-8 lg:block print:hidden" aria-label="Subjects">
        <ul class="grid text-sm">
          {found.map(({ name }) => (
            <li key={name}>
              <a class="block rounded-lg px-2.5 py-1 text-soft hover:bg-hover hover:text-ink" href={`#${anchorOf(name)}`}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main class="min-w-0 flex-1 py-8">
        <h1 class="flex items-center gap-3 text-2xl font-semibold tracking-tight">
          <Logo />
          {description.info.title} API
        </h1>
        <div class="mt-4 grid gap-2 text-sm leading-6 text-soft">
          <Said text={description.info.description} />
          <p>
            For programs it is at{" "}
            <a class="text-button" href="/openapi.json">
              /openapi.json
            </a>
            . Of errors it names the codes; all of them have one form:
          </p>
          <Shapes schema={{ $ref: "#/components/schemas/Problem" }} />
        </div>
        <input
          type="search"
          class="field mt-5 print:hidden"
          aria-label="Search routes"
          placeholder="Search"
          value={words}
          onInput={(event) => setWords(event.currentTarget.value)}
        />
        {found.length === 0 && <p class="mt-6">No route fits “{words.trim()}”.</p>}
        {found.map((subject) => (
          <Routes key={subject.name} subject={subject} asked={asked} />
        ))}
      </main>
    </div>
  );
}

/** The route that the page's address names. */
function useAsked(): string {
  const read = () => location.hash.slice(1);
  const [asked, setAsked] = useState(read);
  useEffect(() => {
    const follow = () => setAsked(read());
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  return asked;
}

/** Not that of a route, which may be called as its subject is. */
function anchorOf(subject: string): string {
  return `about-${subject.toLowerCase().replaceAll(" ", "-")}`;
}

function Routes({ subject: { name, description, routes }, asked }: { subject: Subject; asked: string }) {
  const id = anchorOf(name);
  return (
    <section class="mt-9" aria-labelledby={id}>
      <h2 id={id} class="scroll-mt-4 text-lg font-semibold tracking-tight">
        {name}
      </h2>
      <div class="mt-0.5 text-sm leading-6 text-soft">
        <Said text={description} />
      </div>
      <div class="mt-2.5 divide-y divide-line overflow-hidden rounded-xl border border-line bg-raised">
        {routes.map((route) => (
          <OneRoute key={route.operation.operationId} route={route} isAsked={route.operation.operationId === asked} />
        ))}
      </div>
    </section>
  );
}

const METHODS: Record<string, string> = {
  get: "bg-brand-tint text-brand",
  delete: "bg-danger-tint text-danger",
};

function OneRoute({ route: { method, path, operation }, isAsked }: { route: Route; isAsked: boolean }) {
  const place = useRef<HTMLDetailsElement>(null);
  const [open, setOpen] = useState(isAsked);
  useEffect(() => {
    if (!isAsked) return;
    setOpen(true);
    place.current?.scrollIntoView();
  }, [isAsked]);
  const toggled = (event: Event & { currentTarget: HTMLDetailsElement }) => {
    setOpen(event.currentTarget.open);
    // So that the page's address leads here.
    if (event.currentTarget.open) history.replaceState(null, "", `#${operation.operationId}`);
  };
  return (
    <details ref={place} id={operation.operationId} class="scroll-mt-4" open={open} onToggle={toggled}>
      <summary class="flex items-start gap-3 px-3.5 py-2.5 -outline-offset-2 hover:bg-hover">
        <span
          class={`mt-0.5 w-14 shrink-0 rounded-md py-0.5 text-center font-mono text-xs font-semibold uppercase ${METHODS[method] ?? "bg-notice-tint text-notice"}`}
        >
          {method}
        </span>
        <span class="min-w-0 flex-1">
          <span class="block font-mono text-sm leading-6 break-words">
            {path.split(/(?<=.\/)/).flatMap((part) => [<wbr key={part} />, part])}
          </span>
          <span class="block text-sm leading-5.5 text-soft">{operation.summary}</span>
        </span>
        <span class="chevron mt-1 text-soft">
          <Icon name="chevron" size={14} />
        </span>
      </summary>
      {open && <Told operation={operation} />}
    </details>
  );
}

function Told({ operation: { description, parameters = [], requestBody, responses } }: { operation: Operation }) {
  const document = useDescription();
  return (
    <div class="grid grid-cols-1 gap-6 border-t border-line px-3.5 py-4 text-sm leading-6">
      <div class="grid gap-2">
        <Said text={description} />
      </div>
      {parameters.length > 0 && (
        <Part title="Parameters">
          <dl class="grid gap-2.5">
            {parameters.map(({ name, in: where, required = false, description: about = "", schema }) => (
              <Value key={name} name={name} schema={schema} about={about} note={required ? where : `${where}, optional`} />
            ))}
          </dl>
        </Part>
      )}
      {requestBody !== undefined && (
        <Part title="Body">
          {requestBody.description !== undefined && <Said text={requestBody.description} />}
          <Body content={requestBody.content} open />
        </Part>
      )}
      <Part title="Answers">
        <dl class="grid gap-3">
          {Object.entries(responses).map(([status, answer]) => {
            const { description: about = "", content = {} } = answerOf(document, answer);
            return (
              <div key={status} class="grid grid-cols-[3.5rem_minmax(0,1fr)] gap-x-2">
                <dt class="font-mono font-semibold">{status}</dt>
                <dd class="grid grid-cols-1 gap-1.5">
                  <Said text={about} />
                  <Body content={content} />
                </dd>
              </div>
            );
          })}
        </dl>
      </Part>
    </div>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="grid grid-cols-1 gap-2.5">
      <h3 class="font-semibold">{title}</h3>
      {children}
    </section>
  );
}

/** The form of all problems. The codes, by which they differ, are in the words about each. */
const PROBLEM = "application/problem+json";

/** The forms that a body may have. `open`: its fields are shown at once. */
function Body({ content, open = false }: { content: Content; open?: boolean }) {
  const document = useDescription();
  return (
    <>
      {Object.entries(content)
        .filter(([type]) => type !== PROBLEM)
        .map(([type, body]) => {
          const { schema = {} } = body;
          const example = exampleOf(document, body);
          return (
            <div key={type} class="grid grid-cols-1 gap-1.5">
              <p class="text-xs leading-5 text-soft">
                <span class="font-mono">{type}</span>: {kindOf(document, schema)}
              </p>
              <Shapes schema={schema} open={open} />
              {example !== null && (
                <Folded title="Example">
                  {() => (
                    <pre class="overflow-x-auto rounded-lg bg-sunken px-3 py-2 font-mono text-xs leading-5" tabIndex={0}>
                      {example}
                    </pre>
                  )}
                </Folded>
              )}
            </div>
          );
        })}
    </>
  );
}

/** The objects that a value is made of. They are folded, because each may have others in it, and itself. */
function Shapes({ schema, open = false }: { schema: Schema; open?: boolean }) {
  const document = useDescription();
  return (
    <>
      {shapesOf(document, schema).map(({ name, schema: { description = "" }, fields }: Shape, index) => (
        <Folded key={index} title={name ?? "Its fields"} open={open}>
          {() => (
            <div class="grid grid-cols-1 gap-2.5 border-l-2 border-line pl-3">
              <Said text={description} />
              <dl class="grid grid-cols-1 gap-2.5">
                {fields.map((field: Field) => (
                  <Value
                    key={field.name}
                    name={field.name}
                    schema={field.schema}
                    about={aboutOf(document, field.schema)}
                    note={field.required ? "" : "optional"}
                  />
                ))}
              </dl>
            </div>
          )}
        </Folded>
      ))}
    </>
  );
}

function Value({ name, schema, about, note }: { name: string; schema: Schema; about: string; note: string }) {
  const document = useDescription();
  const said = [note, kindOf(document, schema), ...limitsOf(document, schema)].filter((text) => text !== "").join(", ");
  return (
    <div>
      <dt class="break-words">
        <span class="font-mono text-xs font-semibold">{name}</span>{" "}
        <span class="text-xs text-soft">
          <Drawn pieces={piecesOf(said)} />
        </span>
      </dt>
      <dd class="grid grid-cols-1 gap-1">
        <Said text={about} />
        <Shapes schema={schema} />
      </dd>
    </div>
  );
}

function Folded({ title, open: atFirst = false, children }: { title: string; open?: boolean; children: () => ComponentChildren }) {
  const [open, setOpen] = useState(atFirst);
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="inline-flex min-h-6 items-center gap-1.5 rounded text-xs text-soft hover:text-ink pointer-coarse:min-h-11">
        {title}
        <span class="chevron">
          <Icon name="chevron" size={12} />
        </span>
      </summary>
      {open && children()}
    </details>
  );
}

function Said({ text }: { text: string }) {
  return (
    <>
      {blocksOf(text).map((block, index) =>
        block.as === "list" ? (
          <ul key={index} class="grid gap-0.5">
            {block.items.map((pieces, item) => (
              <li key={item} class="break-words">
                <Drawn pieces={pieces} />
              </li>
            ))}
          </ul>
        ) : (
          <p key={index} class="break-words">
            <Drawn pieces={block.pieces} />
          </p>
        ),
      )}
    </>
  );
}

function Drawn({ pieces }: { pieces: Piece[] }) {
  return (
    <>
      {pieces.map(({ as, text }, index) => {
        if (as === "text") return text;
        if (as === "strong") return <strong key={index}>{text}</strong>;
        return (
          <code key={index} class="rounded-md bg-hover px-1 py-0.5 font-mono text-[0.9em]">
            {text}
          </code>
        );
      })}
    </>
  );
}
