/** @file What a method of composition does with the adapters of one module, and the table of methods. Adding one is its file and one line here. */
import type { Backend } from "../../runtime/index.ts";
import { concatenation } from "./concatenation.ts";
import { elementwise } from "./elementwise.ts";
import { factorwise } from "./factorwise.ts";
import { lorahub } from "./lorahub.ts";
import type { SignElection } from "./mix.ts";
import { rules, type RuleName } from "./rules.ts";
import { svdMethod } from "./svd-method.ts";
import type { Product, Term } from "./term.ts";

export interface MethodOptions {
  readonly backend: Backend;
  /** Rank of the result, where the method chooses one. */
  readonly rank: number;
  /** Share of ‖ΔW‖² that is enough, where the method can do with a smaller rank for it; 1 asks for all of the rank. */
  readonly energy: number;
  /** Share of elements that survive pruning. */
  readonly density: number;
  readonly signs: SignElection;
  /** Decides what is drawn; a module's own. */
  readonly seed: number;
  readonly module: string;
}

/** The product that takes the place of the terms' sum; its scaling is 1. */
export type Method = (terms: readonly Term[], options: MethodOptions) => Promise<Product> | Product;

const names = Object.keys(rules) as RuleName[];
const each = (make: (name: RuleName) => Method, ending = ""): Record<string, Method> =>
  Object.fromEntries(names.map((name) => [`${name}${ending}`, make(name)]));

/**
 * Methods by PEFT's names of `combination_type`: `cat` is exact, `svd` the best of a rank, the others mix A and B each on their own,
 * or with `_svd` the updates ΔW, brought to a rank afterwards.
 */
export const methods: Readonly<Record<string, Method>> = {
  cat: concatenation,
  svd: svdMethod,
  lorahub,
  ...each(factorwise),
  ...each(elementwise, "_svd"),
};
