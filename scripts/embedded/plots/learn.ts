/** @file Plot: the first tries fail, somebody gives good advice, and practice does the rest. */
import { numberWord } from "../english.ts";
import type { Plot } from "./plot.ts";

export const learn: Plot = ({ tell, hero, friend, elder }) => {
  const skills = [
    ["swim", "went under and swallowed water", "Breathe slowly and kick with your legs", "swam across the whole pond"],
    ["whistle", "only blew air", "Make your lips round like a small o", "whistled a whole song"],
    ["ride a bike", "fell into the grass", "Do not look at your feet, look ahead", "rode all the way to the bridge"],
    ["skate", "fell on the ice", "Bend your knees a little", "made a big circle on the ice"],
    ["read", "mixed up all the letters", "Take one word at a time", "read a whole book alone"],
    ["bake bread", "burned it until it was black", "Do not run away while it is in the oven", "took a golden loaf out of the oven"],
    ["juggle", "dropped everything", "Begin with only two balls", "kept four balls in the air"],
    ["tie a knot", "made a knot that fell apart", "Make a loop first", "tied a knot that nobody could open"],
    ["dance", "fell over both feet", "Listen to the drum and count to four", "danced until the stars came out"],
  ] as const;
  const [skill, failure, advice, success] = tell.pick(skills.filter(([skill]) => skill !== hero.animal?.help));
  const times = numberWord(tell.between(3, 9));
  return [
    `${hero.Name} wanted to learn to ${skill}. ${friend.Name} could do it (very well|already), and it looked so easy.`,
    `But the first time, ${hero.name} ${failure}. The second time, ${hero.he} ${failure} again. "I will never learn it!" ${hero.he} cried, and ${tell.pick(["sat down on the ground", `hid ${hero.his} face`, "ran home"])}.`,
    `"${advice}," said ${tell.pick([friend.name, elder.name])}. "And do not give up. ${tell.pick([`I tried it ${times} times`, "Nobody can do it the first time", "Every day a little is enough"])}." So ${hero.name} tried again. ${hero.He} practised (in the morning and in the evening|every day|for ${times} days).`,
    `And one day it worked! ${hero.Name} ${success}. "Look! Look at me!" ${hero.he} (shouted|called|cried). ${friend.Name} ${tell.pick(["clapped", "cheered", "laughed with joy"])}. ${hero.Name} was (very proud|so proud and happy).`,
  ];
};
