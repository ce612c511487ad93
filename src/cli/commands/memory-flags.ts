/** @file What the flags about memory say in a run's settings. It knows nothing about what takes the memory. */
import type { z } from "zod";
import type { MemorySettings } from "../../train/index.ts";
import { parseSize } from "../size-text.ts";
import type { memoryOptions } from "./train-options.ts";

type MemoryFlags = z.output<z.ZodObject<typeof memoryOptions>>;

/** Absent where it is left to the length of the rows. */
export const recomputeOf = ({ checkpointing }: Pick<MemoryFlags, "checkpointing">): MemorySettings =>
  checkpointing === undefined ? {} : { recompute: checkpointing };

/** In bytes; absent where there is none. */
export const memoryLimitOf = ({ memoryLimit }: Pick<MemoryFlags, "memoryLimit">): { readonly memoryLimit?: number } =>
  memoryLimit === undefined ? {} : { memoryLimit: parseSize(memoryLimit, "--memory-limit") };
