/** The pages for administrators: a section for each thing they look after. What the person may not see is not offered. */
import { installationWebhooks } from "../api.ts";
import { sectionsOf } from "../permissions.ts";
import { administrationPath, follow, navigate, type Section } from "../state/route.ts";
import type { User } from "../types.ts";
import { useEffect } from "preact/hooks";
import { Erasures } from "./administration-erasures.tsx";
import { Groups, Roles } from "./administration-groups.tsx";
import { Limits } from "./administration-limits.tsx";
import { Invitations, Sessions, Users } from "./administration-people.tsx";
import { Audit, Settings, Usage } from "./administration-records.tsx";
import { Retention } from "./administration-retention.tsx";
import { Header } from "./header.tsx";
import { Providers } from "./administration-providers.tsx";
import { Keys } from "./administration-keys.tsx";
import { ServiceAccounts } from "./service-accounts.tsx";
import { Webhooks } from "./webhooks.tsx";

const TITLES: Record<Section, string> = {
  users: "People",
  invitations: "Invitations",
  groups: "Groups",
  roles: "Roles",
  "service-accounts": "Service accounts",
  sessions: "Sessions",
  providers: "Providers",
  limits: "Limits",
  usage: "Usage",
  audit: "Record",
  retention: "Retention",
  erasures: "Erasures",
  webhooks: "Webhooks",
  keys: "Keys",
  settings: "Settings",
};

export function Administration({ user, section }: { user: User; section: Section }) {
  const sections = sectionsOf(user);
  const first = sections[0];
  const isAllowed = sections.includes(section);
  useEffect(() => {
    if (!isAllowed) navigate(first === undefined ? "/" : administrationPath(first), { replace: true });
  }, [isAllowed, first]);
  if (!isAllowed) return null;
  return (
    <>
      <Header title="Administration" />
      <nav aria-label="Administration" class="shrink-0 overflow-x-auto border-b border-line px-3 sm:px-6">
        <ul class="flex gap-1">
          {sections.map((name) => (
            <li key={name}>
              <a
                href={administrationPath(name)}
                aria-current={name === section ? "page" : undefined}
                class={`inline-flex h-10 items-center border-b-2 px-2.5 text-sm whitespace-nowrap pointer-coarse:h-11 ${
                  name === section ? "border-brand font-medium" : "border-transparent text-soft hover:text-ink"
                }`}
                onClick={(event) => follow(event, administrationPath(name))}
              >
                {TITLES[name]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="min-h-0 flex-1 overflow-y-auto" tabIndex={0}>
        <div class="mx-auto w-full max-w-[52rem] px-4 pt-5 pb-10 sm:px-6" key={section}>
          <h2 class="sr-only">{TITLES[section]}</h2>
          <Content user={user} section={section} />
        </div>
      </div>
    </>
  );
}

function Content({ user, section }: { user: User; section: Section }) {
  switch (section) {
    case "users":
      return <Users user={user} />;
    case "invitations":
      return <Invitations />;
    case "groups":
      return <Groups />;
    case "roles":
      return <Roles user={user} />;
    case "service-accounts":
      return <ServiceAccounts />;
    case "sessions":
      return <Sessions />;
    case "providers":
      return <Providers />;
    case "limits":
      return <Limits />;
    case "usage":
      return <Usage />;
    case "audit":
      return <Audit />;
    case "retention":
      return <Retention />;
    case "erasures":
      return <Erasures />;
    case "webhooks":
      return (
        <>
          <p class="text-sm leading-6 text-soft">
            Other programs can be told what happens in this installation: ids, codes and times, never what people or models said.
          </p>
          <Webhooks access={installationWebhooks} />
        </>
      );
    case "keys":
      return <Keys />;
    case "settings":
      return <Settings />;
  }
}
