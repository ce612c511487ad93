import { describe, expect, it } from "vitest";
import { modelCard, readCard } from "./model-card.ts";
import type { AdapterRecord } from "./record.ts";
import { someBase } from "./small-adapter.fixture.ts";

const file = { bytes: 10, sha256: "c".repeat(64) };
const record: AdapterRecord = {
  format: 2,
  embedding: null,
  digest: `sha256:${"d".repeat(64)}`,
  files: { "adapter_config.json": file, "adapter_model.safetensors": file },
  facts: { kind: "LORA", rank: 8, alpha: 16, parameters: 100 },
  names: [{ name: "team/tales", version: 2, published: "2026-01-01T00:00:00.000Z" }],
  retired: [],
  aliases: [],
  tags: ["best", "dataset=org/stories", "domain=fine: food", "language=en", "language=fr"],
  metrics: { eval_loss: 0.5, "bleu-4": 31.25 },
  lineage: {
    base: someBase,
    baseName: "org/base",
    data: "27 examples",
    run: null,
    parents: [{ digest: "sha256:1", name: "soup@1", weight: 0.5 }],
  },
  licence: "Apache-2.0",
  notes: "Tells *tales*.",
  created: "2026-01-01T00:00:00.000Z",
  updated: "2026-01-02T00:00:00.000Z",
};

describe("a card", () => {
  it("has the hub's tags of adapters in front, and the facts for people", async () => {
    expect(await modelCard(record)).toBe(`---
library_name: peft
base_model: org/base
base_model_relation: adapter
pipeline_tag: text-generation
license: apache-2.0
language:
  - en
  - fr
datasets:
  - org/stories
tags:
  - lora
  - lowrank
  - best
  - dataset=org/stories
  - "domain=fine: food"
model-index:
  - name: team/tales
    results:
      - task:
          type: text-generation
        dataset:
          type: custom
          name: 27 examples
        metrics:
          - type: eval_loss
            name: eval_loss
            value: 0.5
          - type: bleu-4
            name: bleu-4
            value: 31.25
---

# team/tales

Tells *tales*.

| | |
|---|---|
| kind | LORA, r 8, α 16 |
| base | org/base, ${someBase} |
| eval_loss | 0.5 |
| bleu-4 | 31.25 |
| data | 27 examples |
| composed of | 0.5 × soup@1 |
| digest | \`${record.digest}\` |
`);
  });

  it("gives back what it was written from", async () => {
    expect(await readCard(await modelCard(record), "card")).toEqual({
      tags: record.tags,
      metrics: record.metrics,
      licence: "apache-2.0",
      baseName: "org/base",
      data: "org/stories",
    });
  });

  it("leaves out a base that is a path, and what is not known", async () => {
    const bare = {
      ...record,
      tags: [],
      metrics: {},
      licence: null,
      notes: "",
      lineage: { ...record.lineage, baseName: "/home/me/base", data: null, parents: [] },
    };
    expect(await modelCard(bare)).toMatch(
      /^---\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n {2}- lora\n {2}- lowrank\n---\n/,
    );
  });
});

describe("readCard", () => {
  const nothing = { tags: [], metrics: {}, licence: null, baseName: null, data: null };
  it.each<[what: string, text: string, facts: object]>([
    ["no card", "", nothing],
    ["no front matter", "# Title\n---\nx: 1\n---\n", nothing],
    ["front matter that is a list", "---\n- a\n---\n", nothing],
    [
      "one language and several bases",
      "---\nlanguage: de\nbase_model: [a/b, c/d]\n---",
      { ...nothing, tags: ["language=de"], baseName: "a/b" },
    ],
    ["Windows' line ends", "---\r\ntags: [x]\r\nlicense: mit\r\n---\r\n", { ...nothing, tags: ["x"], licence: "mit" }],
    ["tags of every adapter", '---\ntags: [lora, peft, "base_model:adapter:a/b", mine]\n---', { ...nothing, tags: ["mine"] }],
    [
      "values of other types",
      "---\ntags: 7\nlicense: {a: 1}\nmodel-index: [{results: [{metrics: [{type: loss, value: low}]}]}]\n---",
      nothing,
    ],
    ["tags that no record can hold", '---\ntags: ["a\\nb", " x", "=", good]\n---', { ...nothing, tags: ["good"] }],
  ])("reads %s", async (_, text, facts) => expect(await readCard(text, "card")).toEqual(facts));

  it.each([
    ["no YAML", "---\na: [\n---"],
    ["a bomb of aliases", `---\na: &a [1]\nb: [${"*a,".repeat(20)}]\n---`],
  ])("refuses %s", async (_, text) => {
    await expect(readCard(text, "README.md")).rejects.toMatchObject({ code: "invalid-file", where: "README.md" });
  });
});
