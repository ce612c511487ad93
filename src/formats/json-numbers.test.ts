import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sortedJson } from "./json.ts";
import { spelledJson } from "./json-numbers.ts";

const original = `{
  "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-06, "hidden_size": 64,
  "rope": {"factor": 8.0, "factors": [1.0, 2, 3.50], "final_logit_softcapping": 5.0},
  "name \\" 30.0": "30.0", "layers": [{"a": 1.0}, {"a": 2.0}]
}`;
const parsed = (): Record<string, unknown> => JSON.parse(original) as Record<string, unknown>;

describe("numbers keep their spelling", () => {
  it("wherever they stand", () => {
    const text = spelledJson(parsed(), original);
    expect(JSON.parse(text)).toEqual(parsed());
    expect(text).toContain('"final_logit_softcapping": 30.0,');
    expect(text).toContain('"rms_norm_eps": 1e-06,');
    expect(text).toContain('"factor": 8.0,');
    expect(text.replaceAll(/\s/g, "")).toContain('"factors":[1.0,2,3.50],"final_logit_softcapping":5.0');
    expect(text.replaceAll(/\s/g, "")).toContain('"layers":[{"a":1.0},{"a":2.0}]');
    expect(text).toContain('"name \\" 30.0": "30.0"');
  });

  it("unless their value changed", () => {
    const text = spelledJson({ ...parsed(), final_logit_softcapping: 20, hidden_size: 30, extra: 1 }, original);
    expect(text).toContain('"final_logit_softcapping": 20,');
    expect(text).toContain('"hidden_size": 30,');
    expect(text).toContain('"extra": 1,');
  });

  it("and everything else is as in sorted JSON", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const own = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
        expect(spelledJson(own, JSON.stringify(own))).toBe(sortedJson(own));
      }),
    );
  });
});
