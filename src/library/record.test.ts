import { expect, it } from "vitest";
import { someBase } from "./small-adapter.fixture.ts";
import { vectorText } from "./data-embedding.ts";
import { labelOf, recordOf, recordText, type AdapterRecord } from "./record.ts";

const file = { bytes: 10, sha256: "c".repeat(64) };
const record: AdapterRecord = {
  format: 2,
  digest: `sha256:${"d".repeat(64)}`,
  files: { "adapter_config.json": file, "adapter_model.safetensors": file },
  facts: { kind: "LORA", rank: 8, alpha: 16, parameters: 100 },
  names: [{ name: "tales", version: 2, published: "2026-01-01T00:00:00.000Z" }],
  retired: [{ name: "old", version: 1 }],
  aliases: [{ name: "tales", alias: "prod", since: "2026-01-01T00:00:00.000Z" }],
  tags: ["language=en"],
  metrics: { loss: 0.5 },
  lineage: { base: someBase, baseName: "org/base", data: null, run: null, parents: [{ digest: "sha256:1", weight: 0.5 }] },
  embedding: { examples: 3, tokens: 20, vector: vectorText([0.5, -1]) },
  licence: null,
  notes: "",
  created: "2026-01-01T00:00:00.000Z",
  updated: "2026-01-02T00:00:00.000Z",
};

it("comes back from its text, without what a later version may add", () => {
  const text = recordText(record);
  expect(recordOf({ ...(JSON.parse(text) as object), later: 1 }, "here")).toEqual(record);
  expect(recordText(recordOf(JSON.parse(text) as Record<string, unknown>, "here"))).toBe(text);
});

it("is read as older releases wrote it, which knew no embedding", () => {
  const { embedding: _, ...older } = { ...record, format: 1 };
  expect(recordOf(older, "here")).toEqual({ ...record, embedding: null });
});

it.each<[key: keyof AdapterRecord, value: unknown]>([
  ["format", 3],
  ["digest", "sha256:short"],
  ["digest", "../../etc"],
  ["files", { "adapter_config.json": file }],
  ["files", { ...record.files, "adapter_config.json": { bytes: -1, sha256: file.sha256 } }],
  ["facts", null],
  ["names", [{ name: "../up", version: 1, published: "" }]],
  ["names", [{ ...record.names[0], version: 1.5 }]],
  ["names", [{ ...record.names[0], version: 0 }]],
  ["names", [{ ...record.names[0], version: Number.MAX_SAFE_INTEGER }]],
  ["names", [{ ...record.names[0], published: "yesterday" }]],
  ["retired", "none"],
  ["aliases", [{ ...record.aliases[0], alias: 1 }]],
  ["aliases", [{ ...record.aliases[0], alias: "../prod" }]],
  ["aliases", [{ ...record.aliases[0], since: "zzzz" }]],
  ["aliases", [{ ...record.aliases[0], since: "9999-12-31T23:59:59.999Z" }]],
  ["tags", [1]],
  ["tags", ["a\u001b[2J"]],
  ["metrics", { loss: "low" }],
  ["metrics", { loss: Infinity }],
  ["facts", { ...record.facts, rank: Infinity }],
  ["lineage", { ...record.lineage, parents: [{}] }],
  ["lineage", { ...record.lineage, parents: [{ digest: "sha256:1", weight: Infinity }] }],
  ["created", "2026-13-01T00:00:00.000Z"],
  ["updated", "zzzz"],
  ["embedding", undefined],
  ["embedding", { ...record.embedding, tokens: 0 }],
  ["embedding", { ...record.embedding, vector: "" }],
  ["embedding", { ...record.embedding, vector: "AAAA" }],
  ["embedding", { ...record.embedding, vector: "AAAAAA==\n" }],
  ["embedding", { ...record.embedding, vector: vectorText([1, NaN]) }],
  ["notes", undefined],
])("refuses %s %j", (key, value) => {
  expect(() => recordOf({ ...record, [key]: value }, "a.json")).toThrow(
    expect.objectContaining({ code: "invalid-file", where: "a.json", message: expect.stringContaining(`"${key}"`) as string }),
  );
});

it("says nothing that would steer a terminal, whoever wrote it", () => {
  const hostile = { ...record, notes: "a\u001b[2Jb\nc", lineage: { ...record.lineage, baseName: "x\u009b1A" } };
  const read = recordOf(JSON.parse(recordText(hostile)) as Record<string, unknown>, "here");
  expect([read.notes, read.lineage.baseName]).toEqual(["a\uFFFD[2Jb\nc", "x\uFFFD1A"]);
});

it("is called by its first name, or by its digest", () => {
  expect(labelOf(record)).toBe("tales@2");
  expect(labelOf({ ...record, names: [] })).toBe(record.digest);
});
