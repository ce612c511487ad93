/** @file Plot: a race is lost by pride, or given up for a friend. */
import type { Plot } from "./plot.ts";

export const race: Plot = ({ tell, hero, friend }) => {
  const goal = tell.pick(["the old bridge", "the big oak tree", "the windmill", "the river", "the top of the hill", "the red barn"]);
  const prize = tell.pick(["a golden cup", "a basket of apples", "a silver bell", "a big cake", "a jar of honey"]);
  const start = `One day there was a race to ${goal}. The winner would get ${prize}. ${hero.Name} and ${friend.name} wanted to run. "Ready, steady, go!" (cried|called) the old owl.`;
  if (tell.chance(0.5))
    return [
      start,
      `${friend.Name} was (very fast|much faster) and was soon far ahead. "I have so much time," thought ${friend.name}, and ${tell.pick(["lay down under a tree", "stopped to eat some berries", "sat down to rest"])}. Soon ${friend.he} was asleep.`,
      `${hero.Name} was not fast, but ${hero.he} did not stop. Step by step, ${hero.he} came closer to ${goal}. ${hero.He} walked past ${friend.name}, who was still (asleep|snoring).`,
      `When ${friend.name} woke up, it was too late. ${hero.Name} had won ${prize}! "${tell.pick(["Slow and steady is better than fast and lazy", "I just did not stop", "You were too sure of yourself"])}," said ${hero.name}. ${tell.pick([`Then ${hero.he} shared the prize with ${friend.name}.`, `${friend.Name} never slept in a race again.`])}`,
    ];
  return [
    start,
    `${hero.Name} ran as fast as ${hero.he} could. ${hero.He} was (first|ahead of everyone). Then ${hero.he} heard a cry. ${friend.Name} had fallen over a (stone|root) and could not get up.`,
    `${hero.Name} looked at ${goal}. It was so near! But then ${hero.he} turned around and ran back. "Give me your hand," ${hero.he} said. "But you will lose," said ${friend.name}. "${tell.pick(["A friend is worth more than a prize", "That is not important now", "I do not want to win without you"])}," said ${hero.name}.`,
    `Together they walked to ${goal}. They were the last ones, but everybody (clapped|cheered). And the old owl gave ${prize} to both of them, because ${tell.pick(["a kind heart is the best prize", "they had shown what a friend is", "kindness also wins"])}.`,
  ];
};
