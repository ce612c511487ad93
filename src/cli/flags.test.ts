import { describe, expect, it } from "vitest";
import { z } from "zod";
import { allowedText, camelCase, flagsOf, helpText, kebabCase, parseText, refusal } from "./flags.ts";

const flagOf = (schema: z.ZodType) => flagsOf(z.object({ someFlag: schema }))[0];

describe("names", () => {
  it.each([
    ["learningRate", "learning-rate"],
    ["topK", "top-k"],
    ["maxGradNorm", "max-grad-norm"],
    ["rank", "rank"],
  ])("%s is --%s", (key, name) => {
    expect(kebabCase(key)).toBe(name);
    expect(camelCase(name)).toBe(key);
    expect(camelCase(name.replaceAll("-", "_"))).toBe(key);
  });
});

describe("flagsOf", () => {
  it.each<[string, z.ZodType, string, string]>([
    ["a positive number", z.number().positive().default(2e-4).describe("the rate"), "a number above 0", "the rate (default: 0.0002)"],
    ["a share", z.number().min(0).lt(1).describe("dropout"), "a number of at least 0 and below 1", "dropout (required)"],
    ["a range", z.int().min(1).max(512).optional().describe("rank"), "a whole number from 1 to 512", "rank"],
    ["any whole number", z.int().optional().describe("seed"), "a whole number", "seed"],
    ["an upper bound", z.number().max(2).optional().describe("x"), "a number of at most 2", "x"],
    [
      "a choice",
      z.enum(["linear", "cosine"]).default("linear").describe("schedule"),
      "one of linear, cosine",
      "schedule (linear, cosine; default: linear)",
    ],
    ["a list", z.array(z.string()).describe("files"), "a text", "files (repeatable; required)"],
    ["a switch that is on", z.boolean().default(true).describe("pack"), "true or false", "pack (default: on)"],
    ["a switch that is off", z.boolean().default(false).describe("pack"), "true or false", "pack"],
    [
      "a word or a number",
      z
        .union([z.number(), z.literal("auto")])
        .optional()
        .describe("threads"),
      "auto or a number",
      "threads",
    ],
    [
      "a word, a text or several",
      z
        .union([z.literal("all-linear"), z.string(), z.array(z.string())])
        .default("all-linear")
        .describe("targets"),
      "all-linear or a text",
      "targets (repeatable; default: all-linear)",
    ],
    ["a default list", z.array(z.string()).default(["a", "b"]).describe("names"), "a text", "names (repeatable; default: a, b)"],
    [
      "a choice that may be a switch",
      z
        .union([z.boolean(), z.enum(["gaussian", "pissa"])])
        .default(true)
        .describe("init"),
      "one of gaussian, pissa or true or false",
      "init (gaussian, pissa; default: on)",
    ],
  ])("describes %s", (_, schema, allowed, help) => {
    const flag = flagOf(schema);
    expect(allowedText(flag)).toBe(allowed);
    expect(helpText(flag)).toBe(help);
  });

  it("takes group and placeholder from the schema's meta", () => {
    expect(flagOf(z.string().describe("where to").meta({ group: "Output", placeholder: "folder" }))).toEqual({
      key: "someFlag",
      name: "some-flag",
      description: "where to",
      group: "Output",
      placeholder: "folder",
      required: true,
      default: undefined,
      isSwitch: false,
      repeatable: false,
      alternatives: [{ kind: "text" }],
    });
  });

  it("refuses to make a flag of an object", () => {
    expect(() => flagOf(z.object({}))).toThrow("The option someFlag has a type that no flag can have.");
  });
});

describe("parseText", () => {
  const mixed = z.union([z.number(), z.boolean(), z.enum(["auto"])]);
  it.each<[z.ZodType, string, unknown]>([
    [z.number(), "2e-4", 2e-4],
    [z.number(), "-.5", -0.5],
    [z.number(), "+3.", 3],
    [z.number(), "1E3", 1000],
    [z.number(), "0x10", "0x10"],
    [z.number(), "1,5", "1,5"],
    [z.number(), "3px", "3px"],
    [z.number(), "", ""],
    [z.number(), "Infinity", "Infinity"],
    [z.string(), "12", "12"],
    [mixed, "12", 12],
    [mixed, "true", true],
    [mixed, "false", false],
    [mixed, "auto", "auto"],
    [mixed, "other", "other"],
  ])("%# reads %j as %j", (schema, text, value) => {
    expect(parseText(flagOf(schema), text)).toBe(value);
  });
});

describe("refusal", () => {
  it.each<[z.ZodType, unknown, string]>([
    [z.number().positive(), "abc", 'It takes a number above 0, not "abc".'],
    [z.int().min(1), 0, "It takes a whole number of at least 1, not 0."],
    [z.number(), NaN, "It takes a number, not NaN."],
    [z.enum(["linear", "cosine"]), "linaer", 'It takes one of linear, cosine, not "linaer" (did you mean linear?).'],
    [z.enum(["linear", "cosine"]), "square", 'It takes one of linear, cosine, not "square".'],
    [z.boolean(), null, "It takes true or false, not null."],
  ])("%# of %j", (schema, value, sentence) => {
    expect(refusal(flagOf(schema), "It", value)).toBe(sentence);
  });
});
