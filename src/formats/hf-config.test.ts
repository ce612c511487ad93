import { describe, expect, it } from "vitest";
import { LowrankError } from "../util/index.ts";
import { configReader, ropeOf, type ConfigReader } from "./hf-config.ts";

const where = "/models/m/config.json";

const thrown = (action: () => unknown): LowrankError => {
  try {
    action();
  } catch (error) {
    if (LowrankError.is(error)) return error;
  }
  throw new Error("No error of ours.");
};

const read = configReader(
  {
    zero: 0,
    count: 12,
    epsilon: 1e-5,
    tied: false,
    activation: "silu",
    end: 2,
    ends: [2, 3],
    nothing: null,
    text: "12",
    half: 0.5,
    negative: -1,
    infinite: Infinity,
  },
  where,
);

describe("configReader", () => {
  it.each<[what: string, pick: (read: ConfigReader) => unknown, value: unknown]>([
    ["a whole number", () => read.integer("count"), 12],
    ["zero", () => read.integer("zero"), 0],
    ["a size", () => read.size("count", 3), 12],
    ["a number", () => read.number("epsilon"), 1e-5],
    ["false, not the fallback", () => read.boolean("tied", true), false],
    ["a text", () => read.string("activation"), "silu"],
    ["a list", () => read.integers("ends"), [2, 3]],
    ["one number as a list", () => read.integers("end"), [2]],
    ["one of several", () => read.oneOf("activation", ["gelu", "silu"]), "silu"],
    ["a fallback for a missing key", () => read.integer("missing", 7), 7],
    ["a fallback for null", () => read.number("nothing", 0.5), 0.5],
    ["null as a fallback", () => [read.size("missing", null), read.integers("nothing", null)], [null, null]],
    ["a list as a fallback", () => read.integers("missing", [1]), [1]],
    ["one of several as a fallback", () => read.oneOf("missing", ["gelu", "silu"], "gelu"), "gelu"],
    ["no property that every object has", () => read.string("constructor", "own"), "own"],
  ])("reads %s", (_, pick, value) => {
    expect(pick(read)).toEqual(value);
  });

  it.each<[what: string, pick: () => unknown, message: string, code?: string]>([
    ["a missing key", () => read.integer("missing"), '"missing" is missing. Check that the file is complete.'],
    ["null", () => read.string("nothing"), '"nothing" is missing.'],
    ["a property that every object has", () => read.string("toString"), '"toString" is missing.'],
    ["a text for a number", () => read.integer("text"), '"text" must be a whole number from 0, not "12". Correct the file.'],
    ["a fraction", () => read.integer("half"), '"half" must be a whole number from 0, not 0.5.'],
    ["a negative number", () => read.integer("negative"), '"negative" must be a whole number from 0, not -1.'],
    ["a size of zero", () => read.size("zero"), '"zero" must be a whole number from 1, not 0.'],
    ["infinity", () => read.number("infinite"), '"infinite" must be a finite number, not Infinity.'],
    ["a number for a flag", () => read.boolean("zero"), '"zero" must be true or false, not 0.'],
    ["a number for a text", () => read.string("count"), '"count" must be a text, not 12.'],
    ["a text for a list", () => read.integers("text"), '"text" must be a list of whole numbers, not "12".'],
    ["another choice", () => read.oneOf("activation", ["gelu", "relu"]), '"activation" is "silu"; offered: gelu, relu.', "unsupported"],
    ["a choice that is no text", () => read.oneOf("count", ["gelu"]), '"count" must be a text, not 12.'],
    ["a fallback that is computed and wrong", () => read.integer("missing", 64 / 3), '"missing" must be a whole number from 0, not 21.33'],
  ])("refuses %s", (_, pick, message, code = "invalid-config") => {
    const error = thrown(pick);
    expect(error.message).toContain(`${where}: ${message}`);
    expect(error.code).toBe(code);
  });
});

describe("ropeOf", () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
  it.each<[what: string, config: Record<string, unknown>, rope: unknown]>([
    ["nothing", {}, { theta: 10_000, scaling: null }],
    ["the old form", { rope_theta: 5e5 }, { theta: 5e5, scaling: null }],
    ["the old form with null", { rope_theta: 5e5, rope_scaling: null }, { theta: 5e5, scaling: null }],
    ["the new form", { rope_parameters: { rope_theta: 5e5, rope_type: "default" } }, { theta: 5e5, scaling: null }],
    ["the new form without θ", { rope_parameters: { rope_type: "default" }, rope_theta: 7 }, { theta: 7, scaling: null }],
    [
      "the new form before the old",
      { rope_parameters: { rope_theta: 2 }, rope_theta: 3, rope_scaling: { type: "linear" } },
      { theta: 2, scaling: null },
    ],
    [
      "llama3 in the new form",
      { rope_parameters: { ...llama3, rope_theta: 5e5, rope_type: "llama3" } },
      { theta: 5e5, scaling: { ...llama3, type: "llama3" } },
    ],
    [
      "llama3 in the old form",
      { rope_theta: 5e5, rope_scaling: { ...llama3, rope_type: "llama3" } },
      { theta: 5e5, scaling: { ...llama3, type: "llama3" } },
    ],
    ["the oldest form", { rope_scaling: { type: "linear", factor: 2 } }, { theta: 10_000, scaling: { type: "linear", factor: 2 } }],
    [
      "rope_type before type",
      { rope_scaling: { type: "yarn", rope_type: "linear", factor: 2 } },
      { theta: 10_000, scaling: { type: "linear", factor: 2 } },
    ],
  ])("reads %s", (_, config, rope) => {
    expect(ropeOf(config, where)).toEqual(rope);
  });

  it.each<[what: string, config: Record<string, unknown>, message: string, code?: string]>([
    ["a text", { rope_scaling: "linear" }, '"rope_scaling" must be an object, not "linear"'],
    ["θ as text", { rope_theta: "1e4" }, `${where}: "rope_theta" must be a finite number, not "1e4"`],
    ["θ as text within", { rope_parameters: { rope_theta: "1e4" } }, `${where}, rope_parameters: "rope_theta" must be a finite number`],
    ["θ of zero", { rope_theta: 0 }, '"rope_theta" must be above 0, not 0'],
    ["a type that is no text", { rope_scaling: { type: 1 } }, '"type" must be a text, not 1'],
    [
      "one for each kind of layer",
      { rope_parameters: { full_attention: { rope_theta: 1e6 }, sliding_attention: { rope_theta: 1e4 } } },
      '"rope_parameters" differs by kind of layer: full_attention, sliding_attention.',
      "unsupported",
    ],
  ])("refuses %s", (_, config, message, code = "invalid-config") => {
    const error = thrown(() => ropeOf(config, where));
    expect(error.message).toContain(message);
    expect(error.code).toBe(code);
  });
});
