/** @file A program that is compiled for one run. It knows nothing about what it computes. */
import { program, type Tensor } from "../graph/index.ts";
import type { HostTensor } from "../util/index.ts";
import type { Backend, Feed } from "./backend.ts";
import { compileLenient } from "./lenient.ts";

/** The values of some tensors; of the feeds, those that they need are used. */
export const runOnce = async (
  backend: Backend,
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Readonly<Record<string, Feed>>,
): Promise<Record<string, HostTensor>> => {
  const executable = await compileLenient(backend, program(outputs));
  try {
    return (await executable.run(feeds)) as Record<string, HostTensor>;
  } finally {
    await executable.dispose();
  }
};
