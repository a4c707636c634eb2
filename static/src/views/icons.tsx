/** The icons of the page: outlines on a 24 by 24 grid, in the colour of the text, hidden from screen readers. */

const PATHS = {
  plus: "M12 5v14M5 12h14",
  menu: "M4 7h16M4 12h16M4 17h10",
  close: "M6 6l12 12M18 6L6 18",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  edit: "M4 20h4L19 9a2.8 2.8 0 0 0-4-4L4 16zM14 6l4 4",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
  send: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  save: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  wrap: "M4 6h16M4 12h13a3.5 3.5 0 0 1 0 7h-4M15.5 16.5L13 19l2.5 2.5M4 18h5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  chevron: "M9 6l6 6-6 6",
  thought: "M12 4a6 6 0 0 0-3.5 10.9V17h7v-2.1A6 6 0 0 0 12 4zM9.5 20h5",
  tool: "M14.5 6.5a4 4 0 0 1 5-1.9l-2.7 2.7 2 2 2.7-2.7a4 4 0 0 1-5.6 4.9L9 18.4a1.9 1.9 0 0 1-2.8-2.8l6.9-6.9",
  key: "M14.5 9.5a4.5 4.5 0 1 0-4.2 4.5l1.7 1.7h2v2h2v2h3.5v-3.2l-5.2-5.2c.1-.6.2-1.2.2-1.8zM8.7 8.7h.01",
  people: "M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11zM3 19.5c.4-3.4 2.8-5.2 6-5.2s5.6 1.8 6 5.2M15.5 5a3 3 0 0 1 0 5.8M17.5 14.7c2 .7 3.2 2.3 3.5 4.8",
  hand: "M8 12.5V6.2a1.4 1.4 0 0 1 2.8 0V11M10.8 10.5V4.9a1.4 1.4 0 0 1 2.8 0v5.6M13.6 10.8V6.2a1.4 1.4 0 0 1 2.8 0v6.3M16.4 12V9.2a1.4 1.4 0 0 1 2.8 0V14a6.5 6.5 0 0 1-6.5 6.5c-2.8 0-4.2-1.2-5.4-3.3L4.7 13.7a1.4 1.4 0 0 1 2.3-1.6L8 13.4",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.3v.2",
  retry: "M19 12a7 7 0 1 1-2.2-5.1L20 10M20 4.5V10h-5.5",
  leave: "M10 4H5v16h5M10 12h10M16 8l4 4-4 4",
  hourglass: "M7 4h10M7 20h10M8.5 4c0 4.5 7 4.5 7 8s-7 3.5-7 8M15.5 4c0 4.5-7 4.5-7 8s7 3.5 7 8",
  cross: "M7 7l10 10M17 7L7 17",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.3 15.3L20 20",
  settings: "M4 7h9M19 7h1M4 17h1M11 17h9M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  clip: "M19 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.5 1.5 0 0 1-2.2-2.2l7-7",
  file: "M7 3.5h7l4 4v13H7zM14 3.5v4h4",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8h.01",
} as const;

export function Icon({ name, size = 18 }: { name: keyof typeof PATHS; size?: number }) {
  return (
    <svg
      class="shrink-0"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="9" class="logo-ground" />
      <path d="M9 20.5V13a4 4 0 0 1 4-4h10" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" />
      <circle cx="20.5" cy="20.5" r="3.5" class="logo-spark" />
    </svg>
  );
}
