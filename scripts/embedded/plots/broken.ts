/** @file Plot: something breaks by accident, the hero tells the truth, and it is mended together. */
import { capital } from "../english.ts";
import type { Plot } from "./plot.ts";

export const broken: Plot = ({ tell, hero, elder }) => {
  const [thing, accident, repair] = tell.pick([
    ["cup", "fell from the table", "glued the pieces together"],
    ["vase", "fell from the shelf", "glued the pieces together"],
    ["lamp", "fell to the floor", "put in a new glass"],
    ["chair", "lost a leg", "nailed the leg back on"],
    ["clock", "fell from the wall", "put every little wheel back in its place"],
    ["fence", "broke in the middle", "nailed a new board to it"],
    ["window", "broke into pieces", "put in a new glass"],
    ["basket", "tore on one side", "wove new straw into it"],
  ] as const);
  const colour = tell.pick(["blue", "green", "white", "old", "pretty", "big"]);
  const my = elder.name.replace(`${hero.his} `, "my ");
  const cause = tell.pick(["was running in the house", "was playing with a ball", "was dancing around", "was not careful"]);
  return [
    `One day, ${hero.name} ${cause}. (Crash|Bang|Crack)! ${capital(elder.names)} ${colour} ${thing} ${accident}.`,
    `${hero.Name} was (afraid|scared|worried). "What will ${my} say?" ${hero.he} thought. ${tell.pick([`First ${hero.he} wanted to hide.`, `First ${hero.he} wanted to say that the wind had done it.`, `${hero.He} hid behind the door.`])} But that did not feel right.`,
    `So ${hero.he} went to ${elder.name} and said, "I broke the ${colour} ${thing}. I am (very|so) sorry." ${elder.Name} (was quiet for a moment|took a deep breath|looked at ${hero.him}). "${tell.pick(["I am sad about it", "That was not careful", "I loved it"])}, but I am glad that you told me the truth," ${elder.he} said.`,
    `Together they ${repair}. ${tell.pick([`The ${thing} was not perfect, but it was good again.`, `Soon the ${thing} was as good as new.`, "It took a long time, but it was fun."])} ${tell.pick([`${hero.Name} felt light and happy.`, `After that, ${hero.name} was always careful.`, `"The truth is better than a new ${thing}," said ${elder.name}.`])}`,
  ];
};
