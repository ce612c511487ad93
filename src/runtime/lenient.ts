/** @file Programs that take what they need of what they are fed. It knows nothing about what they compute. */
import type { Graph } from "../graph/index.ts";
import type { Backend, Executable, Feed } from "./backend.ts";

/** Compiles a program that passes over feeds it has no input for: one set of feeds serves an encoder, a decoder and whatever else reads parts of it. */
export const compileLenient = async (backend: Backend, graph: Graph): Promise<Executable> => {
  const { inputs } = graph;
  const executable = await backend.compile(graph);
  const needed = (feeds: Readonly<Record<string, Feed>>): Record<string, Feed> =>
    Object.fromEntries(Object.entries(feeds).filter(([name]) => inputs.has(name)));
  return { run: (feeds, options) => executable.run(needed(feeds), options), dispose: () => executable.dispose() };
};
