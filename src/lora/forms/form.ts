/** @file The contract of a `peft_type`: which configurations are of it, and how its file's keys stand for ours. It knows no type. */
import type { PeftType } from "../../formats/index.ts";
import type { LoraConfig } from "../config.ts";

export type RawConfig = Readonly<Record<string, unknown>>;

export interface ConfigForm {
  readonly type: PeftType;
  /** Whether a configuration, of which some fields may be missing, is of this type. */
  isMeant(config: Partial<LoraConfig>): boolean;
  /** What its fields are where they are not given, as far as that differs from plain LoRA. */
  readonly defaults: Partial<LoraConfig>;
  /** Our fields that its files hold, where they do not hold all; the others must be what they are by default. */
  readonly fields?: ReadonlySet<string>;
  /** The values that mean the same as none of options that are not offered, the one to write first; any other is refused by name. */
  readonly neutral: Readonly<Record<string, readonly unknown[]>>;
  /** What else the values must hold; throws `invalid-config`. */
  check?(config: LoraConfig, where: string): void;
  /** Our keys from the file's. */
  read(raw: RawConfig): RawConfig;
  /** The file's keys from ours, without `peft_type`. */
  write(config: LoraConfig): RawConfig;
}
