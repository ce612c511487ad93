/** @file What a plot is: from the people of a scene to the paragraphs of a small story. */
import type { Being } from "../cast.ts";
import type { Teller } from "../english.ts";

/** Who is there, and the teller to write with. */
export interface Scene {
  tell: Teller;
  hero: Being;
  friend: Being;
  elder: Being;
}

/** Writes the paragraphs after the opening, as templates for `Teller.say`. */
export type Plot = (scene: Scene) => readonly string[];

/** "One sunny morning", with a weather that suits playing outside. */
export const fineDay = "(One|One (sunny|warm|fine|bright|quiet)) (day|morning|afternoon)";
