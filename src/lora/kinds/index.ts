/** @file Every kind of module that adapters target. Adding one is its file and one line here. */
import type { Model } from "../../models/index.ts";
import { embedding } from "./embedding.ts";
import { expert } from "./expert.ts";
import type { Candidate, TargetKind } from "./kind.ts";
import { linear } from "./linear.ts";

const kinds: readonly TargetKind[] = [embedding, linear, expert];

/** The modules of a model that adapters can target. */
export const candidatesOf = (model: Pick<Model, "linears" | "embeddings" | "stacks">): Candidate[] =>
  kinds.flatMap((kind) => kind.candidates(model));
