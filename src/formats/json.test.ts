import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isObject, readJsonObject, sortedJson } from "./json.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-json-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("readJsonObject", () => {
  it("reads an object, whatever its keys", async () => {
    await writeFile(join(folder, "good.json"), '{"a":[1],"__proto__":{"b":1}}');
    const value = await readJsonObject(join(folder, "good.json"));
    expect(Object.entries(value)).toEqual([
      ["a", [1]],
      ["__proto__", { b: 1 }],
    ]);
    expect((value as { b?: number }).b).toBeUndefined();
  });

  it.each([
    ["text that ends early", '{"a":', "bad.json: The file is not valid JSON"],
    ["nothing", "", "The file is not valid JSON"],
    ["a list", "[]", "The file is not a JSON object"],
    ["null", "null", "The file is not a JSON object"],
    ["a text", '"x"', "The file is not a JSON object"],
    ["bytes that are no UTF-8", Buffer.from('{"a":"\xff"}', "latin1"), "The file is not valid JSON"],
  ])("refuses %s", async (_, content, message) => {
    await writeFile(join(folder, "bad.json"), content);
    await expect(readJsonObject(join(folder, "bad.json"))).rejects.toMatchObject({
      code: "invalid-file",
      message: expect.stringContaining(message) as string,
    });
  });

  it("refuses more than 100 MB unread", async () => {
    await writeFile(join(folder, "vast.json"), "");
    await truncate(join(folder, "vast.json"), 100_000_001);
    await expect(readJsonObject(join(folder, "vast.json"))).rejects.toThrow("The file has 100000001 bytes; at most 100000000 are read");
  });
});

describe("sortedJson", () => {
  it("sorts keys at every depth and leaves lists in order", () => {
    expect(sortedJson({ b: [{ d: 1, c: 2 }, 3], a: null })).toBe(
      '{\n  "a": null,\n  "b": [\n    {\n      "c": 2,\n      "d": 1\n    },\n    3\n  ]\n}',
    );
  });

  it("gives equal bytes for equal objects, and the object back", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const json = sortedJson(value);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(sortedJson(Object.fromEntries(Object.entries(value).toReversed()))).toBe(json);
      }),
    );
  });
});

it("isObject tells objects from the rest", () => {
  expect([{}, [], null, "x", 1, undefined].map(isObject)).toEqual([true, false, false, false, false, false]);
});
