/** @file Plot: somebody foolish mistakes one thing for another, and a clearer head explains it. */
import type { Plot } from "./plot.ts";

export const moon: Plot = ({ tell, hero, friend }) => {
  const [seen, belief, rescue, truth] = tell.pick([
    [
      "the moon in the pond",
      "The moon has fallen into the water",
      "tried to pull it out with a bucket",
      "It is only a picture in the water. Look up, the moon is in the sky",
    ],
    [
      "a dark shape on the wall that moved like a wolf",
      "There is a wolf in the house",
      "hit it with a broom",
      "It is only your own shadow. Lift your arm, and it will lift its arm",
    ],
    [
      "another face in the mirror",
      "Somebody lives in there and wants to get out",
      "knocked at the glass",
      "It is only you. Smile, and the face will smile",
    ],
    [
      "white smoke over the field",
      "The field is on fire",
      "ran to fetch a bucket of water",
      "It is only fog. Put your hand in it, and it is cold and wet",
    ],
    [
      "a voice in the valley that said every word again",
      "Somebody in the valley is making fun of me",
      "shouted angry words",
      "It is only an echo. Say something kind, and it will be kind to you",
    ],
    [
      "a long green snake in the grass",
      "A snake is waiting for me",
      "threw a stone at it",
      "It is only the garden hose. Somebody forgot it there",
    ],
  ] as const);
  return [
    `One evening, ${hero.name} saw ${seen}. "${belief}!" ${hero.he} (cried|shouted|thought). ${hero.He} ${rescue}, but it did not help.`,
    `"${tell.pick([`${friend.Name}! Come quickly`, `Help me, ${friend.name}`])}!" called ${hero.name}. ${friend.Name} came running. "What is it?" ${friend.he} asked. ${hero.Name} ${tell.pick(["shook all over", "could hardly speak", `hid behind ${friend.name}`])}.`,
    `${friend.Name} looked. Then ${friend.he} began to (laugh|smile). "${truth}," ${friend.he} said. ${hero.Name} tried it, and it was true.`,
    tell.pick([
      `${hero.Name} (turned red|was a little ashamed), but then ${hero.he} laughed as loud as ${friend.name}.`,
      `"How clever you are!" said ${hero.name}. "I only looked twice," said ${friend.name}.`,
      `"Next time I will look before I shout," said ${hero.name}.`,
    ]),
  ];
};
