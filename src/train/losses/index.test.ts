import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lossFor, lossNamed, losses, type LossName } from "./index.ts";

const fileWith = async (row: object): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), "losses-")), "d.jsonl");
  await writeFile(path, JSON.stringify(row));
  return path;
};

describe("a loss", () => {
  it.each(Object.keys(losses) as LossName[])("%s has the name that it is registered by", (name) => {
    expect(lossNamed(name).name).toBe(name);
  });

  it.each<[LossName, object, object]>([
    ["dpo", {}, { beta: 0.1, labelSmoothing: 0 }],
    ["dpo", { beta: 0.5, labelSmoothing: 0.1, lambda: undefined }, { beta: 0.5, labelSmoothing: 0.1 }],
    ["orpo", { lambda: 0.25 }, { lambda: 0.25 }],
    ["kto", { undesirableWeight: 2 }, { beta: 0.1, desirableWeight: 1, undesirableWeight: 2 }],
    ["next-token", { beta: undefined }, {}],
  ])("%s with %j remembers its settings", (name, given, settings) => {
    expect(lossNamed(name, given).settings).toEqual(settings);
  });

  it.each<[LossName, object, string]>([
    ["orpo", { beta: 0.1 }, "The loss orpo has no setting beta. It has lambda."],
    ["dpo", { desirableWeight: 2 }, "The loss dpo has no setting desirableWeight. It has beta, labelSmoothing."],
    ["next-token", { beta: 0.1 }, "The loss next-token has no setting beta. It has none: leave it out."],
  ])("%s refuses %j", (name, given, message) => {
    expect(() => lossNamed(name, given)).toThrow(message);
  });
});

describe("the loss that data call for", () => {
  it.each<[LossName, object]>([
    ["dpo", { prompt: "", chosen: "", rejected: "" }],
    ["dpo", { chosen: [], rejected: [], messages: [] }],
    ["dpo", { instruction: "", output: "", chosen: "", rejected: "" }],
    ["kto", { prompt: "", completion: "", label: false }],
    ["next-token", { prompt: "", completion: "", label: "greeting" }],
    ["next-token", { messages: [] }],
    ["next-token", { unheard: "of" }],
  ])("is %s for %j", async (name, row) => {
    expect(await lossFor(await fileWith(row))).toBe(name);
  });

  it("is told from columns that stand for fields, and from a format that is named", async () => {
    const path = await fileWith({ question: "", better: "", worse: "" });
    expect(await lossFor(path, { fields: { prompt: "question", chosen: "better", rejected: "worse" } })).toBe("dpo");
    expect(await lossFor(path, { fields: { prompt: "question", completion: "better" } })).toBe("next-token");
    for (const [format, name] of Object.entries({ judged: "kto", "implicit-preference": "dpo", chat: "next-token", unheard: "next-token" }))
      expect(await lossFor(path, { format })).toBe(name);
  });
});
