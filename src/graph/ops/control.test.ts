import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../../test/evaluate.ts";
import { countOf, repeatedProducts, usersOf } from "../../../test/graph-facts.ts";
import { normal } from "../../../test/op-cases.ts";
import { f32 } from "../../util/index.ts";
import {
  add,
  after,
  checkpoint,
  exp,
  gradients,
  input,
  matmul,
  multiply,
  program,
  pullback,
  rematerialise,
  retained,
  scalar,
  scale,
  sigmoid,
  silu,
  softmax,
  tanh,
  total,
  withEagerGradient,
  withGradient,
  type Graph,
  type Tensor,
} from "../index.ts";
import { topological } from "../walk.ts";

const ancestors = (tensor: Tensor): Tensor[] => topological([tensor]).slice(0, -1);

describe("withGradient", () => {
  const x = input("x", [2]);

  it("takes the rule's gradient and not the value's", async () => {
    const y = withGradient(multiply(x, x), [x], [], (dy) => [scale(dy, 5)]);
    const [dx] = gradients(total(y), [x]);
    expect(await evaluate({ y, dx }, { x: f32([2, 3]) })).toEqual({ y: f32([4, 9]), dx: f32([5, 5]) });
  });

  it("keeps what only its gradient uses out of a program without gradient", () => {
    const y = withGradient(multiply(x, x), [x], [exp(tanh(x)), input("unused", [2])], (dy, _, [saved]) => [multiply(dy, saved)]);
    const graph = program({ y });
    expect(graph.order.map(({ op }) => op.name)).toEqual(["input", "multiply", "with-gradient"]);
    expect([...graph.inputs.keys()]).toEqual(["x"]);
  });
});

describe("withEagerGradient", () => {
  const h = input("h", [2, 3]);
  const w = input("w", [3, 4]);
  const plain = (): Tensor => total(exp(softmax(matmul(tanh(h), w))));
  const eager = (): Tensor => {
    const loss = plain();
    return withEagerGradient(loss, [h, w], gradients(loss, [h, w]));
  };
  const feeds = { h: normal([2, 3]), w: normal([3, 4]) };

  it("gives the gradients of the plain scalar, also under a factor and in a sum", async () => {
    const loss = (part: () => Tensor): Tensor => add(scale(part(), 3), multiply(part(), part()));
    const [dh, dw] = gradients(loss(plain), [h, w]);
    const [eh, ew] = gradients(loss(eager), [h, w]);
    const values = await evaluate({ dh, dw, eh, ew }, feeds);
    expect(largestError(numbersOf(values.eh), numbersOf(values.dh))).toBeLessThan(1e-6);
    expect(largestError(numbersOf(values.ew), numbersOf(values.dw))).toBeLessThan(1e-6);
  });

  it("makes each gradient wait for the scalar", () => {
    const loss = eager();
    const value = loss.inputs[0];
    const [dh, dw] = gradients(loss, [h, w]);
    for (const gradient of [dh, dw]) {
      expect(gradient.op.name).toBe("after");
      expect(gradient.inputs[1]).toBe(value);
    }
    expect(repeatedProducts(program({ loss, dh, dw }))).toBe(0);
  });

  it("costs nothing where no gradient is asked for", () => {
    expect(countOf(program({ loss: eager() }), "matmul")).toBe(1);
  });
});

describe("checkpoint", () => {
  const x = input("x", [2, 3]);
  const w = input("w", [3, 3]);
  const v = input("v", [3, 3]);
  const dy = input("dy", [2, 3]);
  const feeds = { x: normal([2, 3]), w: normal([3, 3], 1), v: normal([3, 3], 2), dy: normal([2, 3], 3) };

  /** A gate whose gradient by hand saves a value. */
  const gate = (value: Tensor): Tensor => {
    const opened = sigmoid(value);
    return withGradient(multiply(value, opened), [value], [value, opened], (dy, _, [a, s]) => [
      multiply(dy, add(s, multiply(multiply(a, s), add(scalar(1), scale(s, -1))))),
    ]);
  };
  const plainLayer = (value: Tensor): Tensor => add(value, matmul(silu(matmul(value, w)), v));
  const layers: Readonly<Record<string, (value: Tensor) => Tensor>> = {
    "products and a residual": plainLayer,
    "a gradient by hand inside": (value) => add(value, matmul(gate(matmul(value, w)), v)),
    "a checkpoint inside": (value) => {
      const inner = tanh(matmul(value, w));
      return add(value, checkpoint(matmul(exp(scale(inner, 0.1)), v), [inner, v]));
    },
    "a branch that does not depend on the first source": (value) => add(matmul(value, matmul(tanh(w), v)), value),
  };
  const kept = (layer: (value: Tensor) => Tensor): Tensor => layer(layer(x));
  const recomputed = (layer: (value: Tensor) => Tensor): Tensor => {
    const once = checkpoint(layer(x), [x, w, v]);
    return checkpoint(layer(once), [once, w, v]);
  };

  describe.each(Object.entries(layers))("%s", (_, layer) => {
    it("has the values and gradients of the plain layers", async () => {
      const outputs = (y: Tensor): Record<string, Tensor> => {
        const [dx, dw, dv] = pullback(y, dy, [x, w, v]);
        return { y, dx, dw, dv };
      };
      const expected = await evaluate(outputs(kept(layer)), feeds);
      const actual = await evaluate(outputs(recomputed(layer)), feeds);
      for (const name of Object.keys(expected))
        expect(largestError(numbersOf(actual[name]), numbersOf(expected[name])), name).toBeLessThan(2e-6);
    });

    it("keeps nothing of the forward pass but the sources", () => {
      const y = recomputed(layer);
      const forward = new Set(program({ y }).order);
      const [dx, dw, dv] = pullback(y, dy, [x, w, v]);
      const graph = program({ y, dx, dw, dv });
      const ofFirstSource = new Set([...forward].filter((tensor) => ancestors(tensor).includes(x)));
      const boundaries = new Set([x, y.inputs[1]]);
      const held = [...ofFirstSource].filter((tensor) => usersOf(graph, tensor).some((user) => !forward.has(user)));
      expect(held.filter((tensor) => !boundaries.has(tensor))).toEqual([]);
    });
  });

  it("computes the segment again, each part of it once and after the gradient that needs it", () => {
    const once = checkpoint(plainLayer(x), [x, w, v]);
    const y = checkpoint(plainLayer(once), [once, w, v]);
    const forward = new Set(program({ y }).order);
    const [dx, dw, dv] = pullback(y, dy, [x, w, v]);
    const graph = program({ y, dx, dw, dv });
    const again = graph.order.filter((tensor) => tensor.op.name === "silu" && !forward.has(tensor));
    expect(again).toHaveLength(2);
    const [second, first] = again.sort((a, b) => ancestors(a).length - ancestors(b).length);
    // The upper segment waits for dy, the lower one for the gradient that the upper one gives.
    const tokens = (tensor: Tensor) => ancestors(tensor).filter(({ op }) => op.name === "after");
    expect(tokens(second).map(({ inputs }) => inputs)).toEqual([[once, dy]]);
    expect(tokens(first)).toHaveLength(2);
    const [token] = tokens(first).filter(({ inputs }) => inputs[0] === x);
    expect(ancestors(token)).toContain(second);
    // Per layer: 2 products forward, 1 again (the last is not needed for a gradient), 2 of each gradient.
    expect(countOf(graph, "matmul")).toBe(2 * (2 + 1 + 4));
    expect(repeatedProducts(graph)).toBe(0);
  });

  it("is the value alone where no gradient is asked for", () => {
    expect(countOf(program({ y: recomputed(plainLayer) }), "matmul")).toBe(4);
    expect(countOf(program({ y: recomputed(plainLayer) }), "after")).toBe(0);
  });

  it("gives zeros to a source that the value does not use", async () => {
    const [dv] = pullback(checkpoint(tanh(x), [x, v]), dy, [v]);
    expect(numbersOf((await evaluate({ dv })).dv)).toEqual(Array.from({ length: 9 }, () => 0));
  });

  it("makes again what follows a retained value, which itself stays", async () => {
    const part = (keep: (value: Tensor) => Tensor): { inner: Tensor; next: Tensor; y: Tensor } => {
      const inner = keep(sigmoid(matmul(x, w)));
      const hand = withGradient(inner, [x], [inner], (by, _, [s]) => [multiply(by, s)]);
      const next = matmul(hand, v);
      return { inner, next, y: tanh(next) };
    };
    const { inner, next, y } = part(retained);
    const [dx, dv] = pullback(checkpoint(y, [x, v]), dy, [x, v]);
    const graph = program({ y, dx, dv });
    expect(countOf(graph, "sigmoid")).toBe(1);
    expect(usersOf(graph, next)).toEqual([y]);
    expect(usersOf(graph, inner).map(({ op }) => op.name)).toEqual(["with-gradient", "after"]);
    const [plainX, plainV] = pullback(part((value) => value).y, dy, [x, v]);
    const values = await evaluate({ dx, dv, plainX, plainV }, feeds);
    expect(largestError(numbersOf(values.dx), numbersOf(values.plainX))).toBeLessThan(1e-6);
    expect(largestError(numbersOf(values.dv), numbersOf(values.plainV))).toBeLessThan(1e-6);
  });

  it("takes its only source for its value", async () => {
    const [dx] = pullback(checkpoint(x, [x]), dy, [x]);
    expect(await evaluate({ dx }, { dy: feeds.dy })).toEqual({ dx: feeds.dy });
  });
});

describe("rematerialise", () => {
  const [x, w, dy] = [input("x", [2, 3]), input("w", [3, 3]), input("dy", [2, 3])];
  const feeds = { x: normal([2, 3]), w: normal([3, 3]), dy: normal([2, 3], 3) };
  /** tanh(x)·w plus exp(tanh(x)): two users of one value. */
  const build = (keep: (value: Tensor) => Tensor): Tensor => {
    const value = keep(tanh(x));
    return add(matmul(value, w), exp(value));
  };
  const again = (value: Tensor): Tensor => rematerialise(value, x);
  const outputs = (y: Tensor): Record<string, Tensor> => {
    const [dx, dw] = pullback(y, dy, [x, w]);
    return { y, dx, dw };
  };

  it("changes no value and no gradient", async () => {
    const expected = await evaluate(outputs(build((value) => value)), feeds);
    const actual = await evaluate(outputs(build(again)), feeds);
    for (const name of Object.keys(expected))
      expect(largestError(numbersOf(actual[name]), numbersOf(expected[name])), name).toBeLessThan(2e-6);
  });

  it("makes the value again once, after the gradient that first needs it, for all its users", () => {
    const y = build(again);
    const forward = new Set(program({ y }).order);
    const graph = program(outputs(y));
    const copies = graph.order.filter(({ op, inputs }) => op.name === "tanh" && inputs[0].op.name === "after");
    expect(copies).toHaveLength(1);
    expect(ancestors(copies[0])).toContain(dy);
    // dw and d exp(value) come from the copy, so the first value can go.
    const [kept] = [...forward].filter(({ op }) => op.name === "tanh");
    expect(usersOf(graph, kept).filter((user) => !forward.has(user) && user.op.name === "matmul")).toEqual([]);
  });

  it("leaves what does not come from its source as it is", () => {
    const other = exp(w);
    const value = rematerialise(matmul(tanh(x), other), x);
    const graph = program(outputs(multiply(value, value)));
    expect(countOf(graph, "exp")).toBe(1);
    expect(countOf(graph, "tanh")).toBe(2);
  });

  it("can wait with a smaller tensor than its source, which is then not copied", async () => {
    const gain = input("gain", [3]);
    const deep = exp(x);
    const build = (waiting: Tensor): Record<string, Tensor> => {
      const value = rematerialise(multiply(deep, gain), deep, waiting);
      const [dx] = pullback(multiply(value, value), dy, [x]);
      return { dx };
    };
    const waits = (tensor: Tensor) => program(build(tensor)).order.filter(({ op }) => op.name === "after");
    expect(waits(deep).map(({ shape }) => shape)).toEqual([[2, 3]]);
    expect(waits(gain).map(({ shape }) => shape)).toEqual([[3]]);
    expect(countOf(program(build(gain)), "exp")).toBe(1);
    const given = { x: feeds.x, dy: feeds.dy, gain: normal([3], 4) };
    expect(await evaluate(build(gain), given)).toEqual(await evaluate(build(deep), given));
  });

  it("is made once more, not twice, inside a checkpoint", () => {
    const y = checkpoint(matmul(again(tanh(x)), w), [x, w]);
    expect(countOf(program(outputs(y)), "tanh")).toBe(2);
  });
});

describe("after", () => {
  it("is the same value, made from the token", async () => {
    const [x, token] = [input("x", [2]), input("token", [3])];
    const y = after(x, exp(token));
    const graph: Graph = program({ y });
    expect(graph.order.indexOf(y)).toBeGreaterThan(graph.order.findIndex(({ op }) => op.name === "exp"));
    expect(await evaluate({ y }, { x: f32([1, 2]), token: f32([3, 4, 5]) })).toEqual({ y: f32([1, 2]) });
  });

  it("gives the token no gradient", () => {
    const [x, token] = [input("x", [2]), input("token", [2])];
    const [dx, dtoken] = pullback(after(x, token), input("dy", [2]), [x, token]);
    expect([dx.op.name, dtoken.op.name]).toEqual(["input", "broadcast"]);
  });
});
