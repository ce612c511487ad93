/** @file Which ops WebGPU computes itself, forward and backward, and which it leaves to the CPU. */
import { expect, it } from "vitest";
import { cases, caseOutputs } from "../../test/op-conformance.ts";
import { runsOnWebgpuAlone } from "../../test/without-fallback.ts";
import { program } from "../graph/index.ts";

// Integers of 64 bits, and products by groups of rows, whose sizes the CPU has to know; no dense model computes with either.
const leftToTheCpu = new Set(["top-k", "grouped-matmul", "grouped-outer"]);
const isLeft = (op: string, about: string): boolean => leftToTheCpu.has(op) || about.includes("int64");

it("nothing is left to the CPU but integers of 64 bits, ranking, and groups of rows", async () => {
  const wrong: string[] = [];
  let left = 0;
  for (const [op, each] of cases) {
    const { y, gradients } = caseOutputs(each);
    for (const [part, outputs] of Object.entries({ value: { y }, gradient: gradients })) {
      if (Object.keys(outputs).length === 0 || (await runsOnWebgpuAlone(program(outputs)))) continue;
      left++;
      if (!isLeft(op, each.about)) wrong.push(`${op}, ${each.about}: ${part}`);
    }
  }
  expect(wrong).toEqual([]);
  // Proof that parts which are left are seen at all.
  expect(left).toBeGreaterThan(10);
}, 240_000);
