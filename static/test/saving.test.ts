/** What is saved as a file. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeFile, csv } from "../src/saving.ts";

test("a table is CSV that every spreadsheet reads, and none runs", () => {
  const rows = [
    ["Name", "Price, net"],
    ['The "big" one', "-5"],
    ["two\nlines", "+1,000.50"],
    ["=HYPERLINK(1)", "@cmd"],
    ["", "日本"],
  ];
  assert.equal(
    csv(rows),
    'Name,"Price, net"\r\n"The ""big"" one",-5\r\n"two\nlines","+1,000.50"\r\n\'=HYPERLINK(1),\'@cmd\r\n,日本\r\n',
  );
  assert.equal(csv([]), "");
});

test("code is saved with the ending of its language", () => {
  const named = ["Python", "ts", "c++", "", "../../evil", "mermaid-graph-x"].map(codeFile);
  assert.deepEqual(named, ["code.py", "code.ts", "code.cpp", "code.txt", "code.txt", "code.txt"]);
});
