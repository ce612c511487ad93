import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { bestTime } from "../../test/graph-facts.ts";
import { caseOutputs, cases, feedsFor, valueTolerance } from "../../test/op-conformance.ts";
import { createEngine } from "../runtime/ort-session.ts";
import { readStored } from "../runtime/read-stored.ts";
import {
  add,
  after,
  constant,
  exp,
  input,
  int8Matmul,
  integers,
  matmul,
  multiply,
  program,
  pullback,
  reshape,
  scalar,
  scale,
  slice,
  tanh,
  transpose,
  weight,
  withGradient,
  type Graph,
  type Lowering,
} from "../graph/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { emitOnnx, zeroInput } from "./index.ts";
import { ModelProtoSchema, type GraphProto } from "./onnx_pb.ts";

const modelOf = (graph: Graph, device?: Lowering["device"]) => fromBinary(ModelProtoSchema, emitOnnx(graph, device).bytes);
const emitted = (graph: Graph, device?: Lowering["device"]): GraphProto => modelOf(graph, device).graph!;
const types = ({ node }: GraphProto): string[] => node.map(({ opType }) => opType);

/** A residual layer and its gradient, with a weight in a file. */
const layer = (): Graph => {
  const x = input("x", [2, 4]);
  const w = weight("layer.weight", { path: "/models/base/model.safetensors", offset: 1288, bytes: 64, dtype: "f32", shape: [4, 4] });
  const y = add(x, matmul(tanh(matmul(x, w)), scale(w, 2)));
  const [dx] = pullback(y, input("dy", [2, 4]), [x]);
  return program({ y, dx });
};

describe("an emitted model", () => {
  it("names its format, its operator sets and its maker", () => {
    const { irVersion, opsetImport, producerName } = modelOf(layer());
    expect([irVersion, producerName]).toEqual([10n, "lowrank"]);
    expect(opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
      ["", 21n],
      ["com.microsoft", 1n],
    ]);
  });

  it("has a node for each op, an input for each fed tensor and an output for each name", () => {
    const graph = emitted(layer());
    expect(types(graph).join(" ")).toBe("Gemm Tanh Mul Gemm Add Gemm Mul Sub Mul Gemm");
    const values = (list: GraphProto["input"]) =>
      list.map(({ name, type }) => [name, type!.tensorType!.elemType, type!.tensorType!.shape!.dim.map(({ dimValue }) => dimValue)]);
    expect(values(graph.input)).toEqual([
      ["x", 1, [2n, 4n]],
      ["dy", 1, [2n, 4n]],
    ]);
    expect(values(graph.output)).toEqual([
      ["y", 1, [2n, 4n]],
      ["dx", 1, [2n, 4n]],
    ]);
    const names = graph.node.flatMap(({ output }) => output);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(graph.node.map(({ name }) => name)).size).toBe(graph.node.length);
  });

  it("refers to a weight where it lies, relative to the root of its drive", () => {
    const { root } = emitOnnx(layer());
    expect(root).toBe("/");
    const [stored] = emitted(layer()).initializer.filter(({ dataLocation }) => dataLocation === 1);
    expect(stored).toMatchObject({ dims: [4n, 4n], dataType: 1 });
    expect(Object.fromEntries(stored.externalData.map(({ key, value }) => [key, value]))).toEqual({
      location: "models/base/model.safetensors",
      offset: "1288",
      length: "64",
    });
    expect(stored.rawData).toBeUndefined();
    expect(emitOnnx(program({ y: exp(input("x", [1])) })).root).toBeUndefined();
  });

  it("has weights as inputs on WebGPU, where programs share them, and those that cannot be fed in their files", () => {
    const whole = emitted(layer(), "webgpu");
    const { fed } = emitOnnx(layer(), "webgpu");
    expect(Object.values(fed)).toMatchObject([{ name: "layer.weight", location: { offset: 1288, shape: [4, 4] } }]);
    expect(whole.input.map(({ name }) => name)).toEqual(["x", "dy", ...Object.keys(fed)]);
    expect(whole.initializer.filter(({ dataLocation }) => dataLocation === 1)).toEqual([]);
    expect(emitOnnx(layer()).fed).toEqual({});
    const rounded = program({ w: weight("w", { path: "/base/model.safetensors", offset: 0, bytes: 4, dtype: "i8", shape: [4] }) });
    expect(emitOnnx(rounded, "webgpu").fed).toEqual({});
    expect(emitted(rounded, "webgpu").initializer).toMatchObject([{ dataLocation: 1, dims: [4n] }]);
  });

  it("refuses a weight whose path is not absolute", () => {
    const w = weight("w", { path: "base/model.safetensors", offset: 0, bytes: 4, dtype: "f32", shape: [1] });
    expect(() => emitOnnx(program({ w }))).toThrow(/base\/model\.safetensors, tensor w: .*absolute/);
  });

  it("is the same bytes for the same program", () => {
    expect(emitOnnx(layer()).bytes).toEqual(emitOnnx(layer()).bytes);
  });

  it("shares small constants of one type and value, and only those", () => {
    const x = input("x", [2, 3]);
    const many = Array.from({ length: 20 }, (_, index) => index);
    const factors = [
      scalar(2),
      scalar(2),
      scalar(-0),
      scalar(0),
      constant(f32([2])),
      constant(f32(many.slice(0, 6), [2, 3])),
      constant(f32(many.slice(0, 6), [2, 3])),
    ];
    const y = factors.reduce((sum, factor) => multiply(sum, factor), x);
    expect(emitted(program({ y })).initializer).toHaveLength(5);
    const wide = (size: number) => constant(f32(new Float32Array(size).fill(3)));
    const sumOf = (size: number) => program({ y: add(add(input("w", [size]), wide(size)), wide(size)) });
    expect(emitted(sumOf(1024)).initializer).toHaveLength(1);
    expect(emitted(sumOf(20_000)).initializer).toHaveLength(2);
    expect(
      emitted(program({ a: integers([1, 2]), b: constant(f32([1, 2])), c: slice(reshape(x, [3, 2]), 0, 1, 3) })).initializer,
    ).toHaveLength(6);
  });

  it("writes a constant that is a view of a larger array alone", () => {
    const view = constant(f32(Float32Array.of(9, 1, 2, 9).subarray(1, 3)));
    const [{ rawData }] = emitted(program({ view })).initializer;
    expect([...new Float32Array(rawData!.slice().buffer)]).toEqual([1, 2]);
  });

  it("has the zero input where something waits, once", () => {
    const [x, token] = [input("x", [2]), input("token", [2])];
    const waiting = emitOnnx(program({ y: after(after(x, token), exp(token)) }));
    const graph = fromBinary(ModelProtoSchema, waiting.bytes).graph!;
    expect(waiting.needsZero).toBe(true);
    expect(graph.input.map(({ name }) => name)).toEqual(["x", "token", zeroInput]);
    expect(types(graph).join(" ")).toBe("Reshape Slice Mul Add Exp Reshape Slice Mul Add");
    expect(emitOnnx(program({ y: exp(x) })).needsZero).toBe(false);
  });

  it("makes equal nodes once, and only those", () => {
    const [a, b] = [input("a", [2, 3, 4]), input("b", [2, 4, 3])];
    const scores = (alpha: number) => matmul(a, b, { alpha });
    const y = add(multiply(scores(2), scores(2)), scores(3));
    expect(types(emitted(program({ y })))).toEqual(["FusedMatMul", "Mul", "FusedMatMul", "Add"]);
  });

  it("rounds what several products in 8 bits read once", () => {
    const x = input("x", [40, 4]);
    const W = (out: number) => ({
      weights: constant({ dtype: "i8", shape: [4, out], data: new Int8Array(4 * out).fill(out) }),
      scales: constant(f32(new Float32Array(out).fill(out))),
    });
    const graph = emitted(program({ y: int8Matmul(x, W(2)), z: int8Matmul(x, W(3)) }));
    const count = (wanted: string) => types(graph).filter((type) => type === wanted).length;
    expect([count("MatMulIntegerToFloat"), count("QuantizeLinear"), count("ReduceMax")]).toEqual([2, 1, 1]);
  });

  it("leaves out what serves a gradient that is not asked for", () => {
    const x = input("x", [2]);
    const y = withGradient(tanh(x), [x], [exp(x)], (dy, _, [saved]) => [multiply(dy, saved)]);
    expect(types(emitted(program({ y })))).toEqual(["Tanh"]);
  });

  it("gives what a node makes its output's name, and copies what is fed or returned twice", () => {
    const x = input("x", [2]);
    const y = exp(x);
    const { node } = emitted(program({ first: y, next: tanh(y), again: y, fed: x }));
    expect(node.map(({ opType, input, output }) => [opType, ...input, ...output])).toEqual([
      ["Exp", "x", "first"],
      ["Tanh", "first", "next"],
      ["Identity", "first", "again"],
      ["Identity", "x", "fed"],
    ]);
  });

  it("makes one view of views one after another, and of a transpose that moves axes of size 1 alone", () => {
    const x = input("x", [1, 6]);
    const heads = transpose(reshape(x, [1, 1, 3, 2]), [0, 2, 1, 3]);
    const graph = emitted(program({ y: reshape(exp(reshape(heads, [3, 2])), [6]), z: transpose(heads, [0, 3, 2, 1]) }));
    expect(graph.node.map(({ opType, input: [from] }) => `${opType} ${from}`).filter((line) => line.endsWith(" x"))).toEqual([
      "Reshape x",
      "Reshape x",
    ]);
    expect(types(graph).toSorted()).toEqual(["Exp", "Reshape", "Reshape", "Reshape", "Transpose"]);
  });

  it("has no node, input or initializer that nothing uses", () => {
    for (const [op, each] of cases) {
      const { y, gradients } = caseOutputs(each);
      for (const device of ["cpu", "webgpu"] as const) {
        const graph = emitted(program({ y, ...gradients }), device);
        const used = new Set([...graph.node.flatMap(({ input }) => input), ...graph.output.map(({ name }) => name)]);
        const made = [...graph.node.map(({ output }) => output), ...[...graph.initializer, ...graph.input].map(({ name }) => [name])];
        expect(
          made.filter((names) => !names.some((name) => used.has(name))),
          `${op}, ${each.about}`,
        ).toEqual([]);
      }
    }
  });

  it("takes less than 150 ms for 5,000 nodes", () => {
    let y = input("x", [4, 4]);
    for (let index = 0; index < 2500; index++) y = add(scale(y, 2 + index), y);
    const graph = program({ y });
    expect(emitted(graph).node).toHaveLength(5000);
    expect(bestTime(() => emitOnnx(graph))).toBeLessThan(150);
  });
});

const norm = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
const relativeError = (a: readonly number[], b: readonly number[]): number => norm(a.map((value, index) => value - b[index])) / norm(b);

describe("lowering for webgpu", () => {
  // The only ops outside the standard that ONNX Runtime's webgpu provider has kernels for and that records lower to.
  const offered = new Set(["MatMulBnb4", "MatMulNBits", "QuickGelu", "RotaryEmbedding"]);

  it("spells out the fused product of the CPU", () => {
    const graph = program({ y: matmul(input("a", [2, 3, 4]), input("b", [5, 4]), { transposeB: true, alpha: 0.5 }) });
    expect(types(emitted(graph))).toEqual(["FusedMatMul"]);
    expect(types(emitted(graph, "webgpu"))).toEqual(["Transpose", "MatMul", "Mul"]);
  });

  it.each(cases.map(([op, each]) => [`${op}, ${each.about}`, each] as const))(
    "%s: only ops that it has, and the same values",
    async (_, each) => {
      const { y, gradients } = caseOutputs(each);
      const graph = program({ y, ...gradients });
      for (const { domain, opType } of emitted(graph, "webgpu").node) if (domain !== "") expect(offered).toContain(opType);
      const engine = createEngine({ device: "cpu", threads: 1 });
      const { fed, ...model } = emitOnnx(graph, "webgpu");
      const session = await engine.compile({ ...model, fed: {} });
      const feeds = feedsFor(each, graph);
      const weights = Object.entries(fed).map(([name, stored]): [string, HostTensor] => {
        const { dtype, shape } = stored.location;
        return [name, { dtype, shape, data: readStored(stored.name, stored.location) }];
      });
      const { hosts } = await engine.run(session, { ...feeds, ...Object.fromEntries(weights) }, {});
      await engine.closeSession(session);
      const expected = await evaluate(graph.outputs, feeds);
      for (const name of Object.keys(expected)) {
        expect(hosts[name].shape).toEqual(expected[name].shape);
        const [ours, theirs] = [numbersOf(hosts[name]), numbersOf(expected[name])];
        // Where an op rounds on the CPU, it multiplies with the exact input elsewhere.
        if (each.rounds === true) expect(relativeError(ours, theirs), name).toBeLessThan(0.02);
        else expect(largestError(ours, theirs), name).toBeLessThan(valueTolerance);
      }
    },
  );
});

describe("lowering for the CPU", () => {
  it("adds in the pass of a flat product and keeps a plain batched one standard", () => {
    const flat = program({ y: matmul(input("a", [2, 4]), input("b", [3, 4]), { transposeB: true }, input("c", [3])) });
    expect(emitted(flat).node[0]).toMatchObject({ opType: "Gemm", input: ["a", "b", "c"], domain: "" });
    const batched = program({ y: matmul(input("a", [2, 2, 4]), input("b", [2, 4, 3])) });
    expect(types(emitted(batched))).toEqual(["MatMul"]);
  });
});
