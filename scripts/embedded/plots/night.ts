/** @file Plot: a frightening noise or shadow at night turns out to be harmless. */
import { capital } from "../english.ts";
import type { Plot } from "./plot.ts";

export const night: Plot = ({ tell, hero, elder }) => {
  const [sound, cause] = tell.pick([
    ["a scratching sound at the window", "a branch of the apple tree"],
    ["a long hoot", "a small owl on the roof"],
    ["a soft tapping", "the rain on the window"],
    ["a bang in the kitchen", "the cat, who had pushed a pot from the shelf"],
    ["a low growl", "the dog, who was snoring"],
    ["small steps above the bed", "a mouse with a piece of cheese"],
    ["a creak at the door", "the wind, which moved the old door"],
    ["a splash outside", "a frog in the rain barrel"],
  ] as const);
  const fear = tell.pick(["a monster", "a wolf", "a ghost", "a thief", "a dragon"]);
  return [
    `One night, ${hero.name} could not sleep. (It was very dark|The moon was behind the clouds|The wind blew around the house). Then ${hero.he} heard ${sound}.`,
    `${hero.Name} pulled the blanket over ${hero.his} head. "It must be ${fear}!" ${hero.he} (thought|whispered). ${hero.His} heart beat (fast|very fast|like a drum).`,
    `"${capital(elder.noun)}!" ${hero.he} called. ${elder.Name} came with a (lamp|candle|small light). "Do not be afraid. We will look together," ${elder.he} said, and took ${hero.his} hand.`,
    `They (walked|went) slowly toward the sound. (Step by step|Very quietly), they came closer. And what did they see? It was only ${cause}! ${hero.Name} laughed (and laughed|out loud|with relief).`,
    `"${tell.pick(["Things look bigger in the dark", "Most monsters are small when there is light", "When you look at a fear, it gets small"])}," said ${elder.name}. ${hero.Name} went back to bed and slept (well|until the morning|without a bad dream).`,
  ];
};
