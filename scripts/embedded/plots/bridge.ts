/** @file Plot: two meet where only one can pass. */
import type { Plot } from "./plot.ts";

export const bridge: Plot = ({ tell, hero, friend }) => {
  const where = tell.pick(["on a narrow bridge", "on a log over the river", "on a small path on the rocks"]);
  const loss = where.includes("path") ? "rolled down into the bushes" : "fell into the cold water";
  const meeting = `One day, ${hero.name} met ${friend.name} ${where}. There was only room for one. "Let me pass," said ${hero.name}. "I was here first," said ${friend.name}.`;
  if (tell.chance(0.4))
    return [
      meeting,
      `Neither of them wanted to go back. They stood there (the whole morning|for a long time|until noon). Then they pushed, and both of them ${loss}!`,
      `They sat on the ground, (dirty and cold|with leaves in their hair). "${tell.pick(["We were both foolish", "That was silly", "Now nobody has passed"])}," said ${hero.name}. ${friend.Name} had to laugh. ${tell.pick(["The next time they met, they took turns.", 'The next time they met, each of them stepped back. "After you!" they both said.'])}`,
    ];
  return [
    meeting,
    `They looked at each other. Then ${hero.name} had an idea. "${tell.pick(["I will lie down, and you can climb over me", "I will go back, and you can come across first", "Hold my hand, and we will turn around together"])}," ${hero.he} said.`,
    `They did it slowly and carefully. "${tell.pick(["That was kind of you", "I would never have thought of that", "You are clever"])}," said ${friend.name}. "Where are you going?" "${tell.pick(["To the market", "To my grandmother", "To the other side of the hill"])}," said ${hero.name}. "${tell.pick(["Then I will carry your bag", "Come to tea on your way back", "I hope that we meet again"])}," said ${friend.name}. ${tell.pick(["A kind word makes a narrow path wide.", "And both of them went on with a smile.", "That was the beginning of a long friendship."])}`,
  ];
};
