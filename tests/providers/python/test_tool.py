import unittest

from tool import DICE_MAX, roll


class Roll(unittest.TestCase):
    def test_every_die_is_rolled_and_what_is_added_counts(self):
        rolls, total = roll(" 3d6+2 ")
        self.assertTrue(len(rolls) == 3 and all(1 <= rolled <= 6 for rolled in rolls), rolls)
        self.assertEqual(total, sum(rolls) + 2)

    def test_what_is_no_roll_is_refused_in_words(self):
        for dice, words in [("3d", "d20"), (f"{DICE_MAX + 1}d6", str(DICE_MAX))]:
            with self.assertRaisesRegex(ValueError, words):
                roll(dice)


if __name__ == "__main__":
    unittest.main()
