import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, it } from "vitest";
import { excerpt, type Row } from "./row.ts";
import { dataFiles, readRows } from "./source.ts";

const folderWith = async (files: Readonly<Record<string, string | Uint8Array>>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "rows-"));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
};

const rowsOf = async (path: string): Promise<Row[]> => {
  const rows: Row[] = [];
  for await (const row of readRows(path)) rows.push(row);
  return rows;
};

const rowsIn = async (name: string, content: string | Uint8Array): Promise<[Row["value"], string][]> => {
  const folder = await folderWith({ [name]: content });
  return (await rowsOf(join(folder, name))).map(({ value, where }) => [value, where.slice(folder.length + 1)]);
};

describe("readRows", () => {
  it.each([
    [
      "jsonl",
      '{"a":1}\n{"a":2}\n',
      [
        [{ a: 1 }, "d.jsonl:1"],
        [{ a: 2 }, "d.jsonl:2"],
      ],
    ],
    [
      "jsonl",
      '\ufeff{"a":1}\r\n\r\n  \n"bare"',
      [
        [{ a: 1 }, "d.jsonl:1"],
        [{ text: "bare" }, "d.jsonl:4"],
      ],
    ],
    ["jsonl", '{"a":"x\u2028y\u0085z"}', [[{ a: "x\u2028y\u0085z" }, "d.jsonl:1"]]],
    ["ndjson", '{"a":1}', [[{ a: 1 }, "d.ndjson:1"]]],
    [
      "json",
      '[{"a":1},"bare"]',
      [
        [{ a: 1 }, "d.json: [0]"],
        [{ text: "bare" }, "d.json: [1]"],
      ],
    ],
    ["json", '\ufeff{"version":1,"examples":[{"a":1}]}', [[{ a: 1 }, "d.json: examples[0]"]]],
    [
      "csv",
      '\ufeffa,b\r\n1,"x, ""y""\nz"\r\n\r\n2,\r\n',
      [
        [{ a: "1", b: 'x, "y"\nz' }, "d.csv:3"],
        [{ a: "2", b: "" }, "d.csv:5"],
      ],
    ],
    ["tsv", 'a\tb\nham\tsaid "hi\n', [[{ a: "ham", b: 'said "hi' }, "d.tsv:2"]]],
    ["txt", "\ufeffone\r\ntwo\n", [[{ text: "one\r\ntwo\n" }, "d.txt"]]],
  ])("reads .%s: %j", async (extension, content, rows) => {
    expect(await rowsIn(`d.${extension}`, content)).toEqual(rows);
  });

  it("reads .parquet row group by row group, with plain numbers and lists", async () => {
    const columnData = [
      { name: "text", data: ["a", "b", "c"] },
      { name: "n", data: [1n, 2n, 3n] },
      { name: "messages", data: [[{ role: "user" }], [], [{ role: "x" }]], type: "JSON" as const },
    ];
    const content = new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 2 }));
    expect(await rowsIn("d.parquet", content)).toEqual([
      [{ text: "a", n: 1, messages: [{ role: "user" }] }, "d.parquet: row 1"],
      [{ text: "b", n: 2, messages: [] }, "d.parquet: row 2"],
      [{ text: "c", n: 3, messages: [{ role: "x" }] }, "d.parquet: row 3"],
    ]);
  });

  it("reads lines that are cut anywhere between the pieces of a file", async () => {
    const lines = Array.from({ length: 4000 }, (_, index) => JSON.stringify({ index, text: "é😀".repeat(index % 40) }));
    const rows = await rowsIn("d.jsonl", lines.join("\n"));
    expect(rows.map(([value]) => JSON.stringify(value))).toEqual(lines);
    expect(rows[3999][1]).toBe("d.jsonl:4000");
  });

  it.each([
    [
      "d.jsonl",
      '{"a":1}\n{"a":\n',
      'd.jsonl:2: This line is not valid JSON: Unexpected end of JSON input. It begins: {"a": Correct or remove this line; each line must be one whole JSON object.',
    ],
    ["d.jsonl", "[\n1]", "rename the file to .json"],
    ["d.jsonl", "3", "d.jsonl:1: A row must be an object or a text, but this one is 3."],
    ["d.jsonl", "\n \n", "d.jsonl: The file is empty."],
    ["d.jsonl", Uint8Array.of(0x22, 0x61, 0x22, 0x0a, 0x22, 0xe9, 0x22), "d.jsonl: The file is not UTF-8 text somewhere after line 1."],
    ["d.json", '[\n{"a":1},\n{"a" 2}]', "d.json:3: The file is not valid JSON: "],
    ["d.json", '{"a":[1],"b":[2]}', "d.json: The file holds no list of rows, but an object with 2 lists (keys: a, b)."],
    ["d.json", "3", "The file holds no list of rows, but a number."],
    ["d.json", "[]", "d.json: The file is empty."],
    ["d.json", "", "d.json: The file is empty."],
    ["d.csv", "a,b\n1,2\n1,2,3\n", "d.csv:3: The table is broken: Invalid Record Length"],
    ["d.tsv", "a\tb\n1\n", "d.tsv:2: The table is broken: Invalid Record Length"],
    ["d.csv", "a,a\n1,2\n", 'd.csv:1: Two columns are named "a".'],
    ["d.csv", "a,b\n", "d.csv: The file is empty."],
    ["d.csv", Uint8Array.of(0x61, 0x0a, 0xe9), "d.csv: The file is not UTF-8 text"],
    ["d.txt", " \n", "d.txt: The file is empty."],
    ["d.parquet", "PAR1 nothing", "d.parquet: The Parquet file cannot be read after row 0: "],
    ["d.xls", "a", "Data files end with .jsonl .ndjson .json .csv .tsv .parquet .txt; this one does not."],
  ])("refuses %s with %j", async (name, content, message) => {
    await expect(rowsIn(name, content)).rejects.toThrow(message);
  });
});

describe("dataFiles", () => {
  it("takes a file, the data files of a folder in order of name, or those that a pattern names", async () => {
    const folder = await folderWith({ "b.jsonl": '"2"', "a.txt": "1", "notes.md": "", ".hidden.txt": "", "a+b.json": '["3"]' });
    await mkdir(join(folder, "empty"));
    const names = async (path: string): Promise<string[]> =>
      (await dataFiles(join(folder, path))).map((file) => file.slice(folder.length + 1));
    expect(await names(".")).toEqual(["a+b.json", "a.txt", "b.jsonl"]);
    expect(await names("?.*")).toEqual(["a.txt", "b.jsonl"]);
    expect(await names("a+*.json")).toEqual(["a+b.json"]);
    expect((await rowsOf(folder)).map(({ value }) => value["text"])).toEqual(["3", "1", "2"]);
    await expect(names("empty")).rejects.toThrow("empty: No data file is here");
    await expect(names("*.csv")).rejects.toThrow("No data file is here");
    await expect(names("c.jsonl")).rejects.toThrow("c.jsonl: There is no such data file or folder.");
  });
});

describe("excerpt", () => {
  it("is one line of at most a length", () => {
    expect(excerpt("a\n b", 10)).toBe("a b");
    expect(excerpt("abcdef", 3)).toBe("abc…");
  });
});
