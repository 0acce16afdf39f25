"""Each sentence of docs/delivery.md has a test that would fail without it: :data:`HELD` says which.

A sentence is named by its beginning; in a table, by the first cell of its row and its own beginning. What is
Stock2Shop's to promise, or says why, has no test of its own, and is named in :data:`SAID`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

PAGE = ROOT / "docs" / "delivery.md"

SHAPES = (
    "stock2shop/test_delivery.py"
    " a_tenth_of_the_rows_refused_costs_fewer_than_three_requests_each_however_they_are_named"
)

HELD: dict[str, tuple[str, ...]] = {
    # What is believed.
    "**What Stock2Shop acknowledged is what the engine believes": (
        "sync/test_properties.py published_advances_only_with_a_receipt",
        "sync/test_crash_recovery.py after_any_mishaps_stock2shop_holds_what_the_source_says",
        "model/test_histories.py stock2shop_holds_what_the_source_says_whatever_went_wrong",
    ),
    "Each run compares what it would send": (
        "sync/test_properties.py an_unchanged_source_sends_nothing",
        "sync/test_properties.py only_the_variant_that_changed_is_sent",
        "sync/test_in_doubt.py an_update_that_was_not_answered_is_undone_when_the_source_goes_back",
    ),
    "before a batch is sent: Every row of it": (
        "sync/test_in_doubt.py an_update_that_was_not_answered_is_undone_when_the_source_goes_back",
        "sync/test_in_doubt.py a_removal_that_was_not_answered_is_undone_when_the_row_comes_back",
        "sync/test_in_doubt.py a_first_load_that_was_not_answered_is_taken_away_from_its_old_product",
    ),
    "the deadline or a stop comes while a batch waits for its turn: It did not go out": (
        "sync/test_deadline.py a_batch_that_only_waited_for_its_turn_is_not_in_doubt",
    ),
    "a receipt arrives: Its rows become published": (
        "sync/test_properties.py a_receipt_is_recorded_whole_or_not_at_all",
        "sync/test_properties.py where_variants_differ_the_lowest_code_speaks_for_the_product",
    ),
    "a row is refused with a 4xx: It was not taken": ("sync/test_in_doubt.py a_row_that_was_refused_is_not_in_doubt",),
    "a variant moves, and its removal from the old product is refused: It stays in doubt": (
        "sync/test_in_doubt.py a_variant_whose_removal_from_its_old_product_is_refused_is_not_forgotten_there",
    ),
    "a variant moves, and its removal from the old product is refused: Stock2Shop has it in both": (
        "sync/test_in_doubt.py a_variant_whose_removal_from_its_old_product_is_refused_is_not_forgotten_there",
        "sync/test_in_doubt.py a_variant_whose_removal_is_refused_is_no_difference_in_either_product",
        "sync/test_in_doubt.py a_price_that_a_refused_removal_left_is_held_where_it_turns_blank",
    ),
    "a variant moves, and its removal from the old product is refused: Nothing is sent for it": (
        "sync/test_in_doubt.py a_variant_whose_removal_from_its_old_product_is_refused_is_not_forgotten_there",
    ),
    "a row is refused with a 4xx: What an earlier run left": (
        "sync/test_in_doubt.py a_row_that_was_refused_is_sent_when_the_source_goes_back_to_what_is_in_doubt",
    ),
    "the answer is lost, is a 500, or is a success that names an error: The row stays in doubt": (
        "sync/test_in_doubt.py a_removal_that_was_not_answered_is_sent_again",
        "sync/test_belief.py a_row_alone_with_a_500_stays_in_doubt",
        "sync/test_belief.py a_row_whose_success_names_an_error_stays_in_doubt",
        "model/test_histories.py what_went_wrong_once_does_not_go_wrong_again",
    ),
    "the next run finds a key in doubt: It sends what the key is now": (
        "sync/test_in_doubt.py an_update_that_was_not_answered_is_undone_when_the_source_goes_back",
        "sync/test_in_doubt.py a_first_load_that_was_not_answered_is_taken_away_from_its_old_product",
        "sync/test_in_doubt.py a_move_that_was_not_answered_and_is_undone_ends_where_it_began",
    ),
    "a key in doubt is flagged Ignore, or breaks a rule: Nothing is sent": (
        "sync/test_in_doubt.py an_ignored_row_of_which_something_is_in_doubt_is_sent_once_it_is_active",
        "sync/test_belief.py a_row_in_doubt_that_breaks_a_rule_is_not_sent_and_stays_in_doubt",
    ),
    "the other variants of a product that was sent in doubt: They are sent once more": (
        "sync/test_as_sent.py a_title_that_is_in_doubt_is_said_again_with_another_variant",
        "sync/test_as_sent.py a_title_that_is_in_doubt_is_said_once_with_another_variant",
    ),
    "the other variants of a product that was sent in doubt: Where the one in doubt is removed": (
        "sync/test_as_sent.py a_title_that_is_in_doubt_stays_so_when_its_variant_has_left",
        "sync/test_as_sent.py a_title_that_is_in_doubt_goes_with_the_last_variant",
    ),
    "a guard counts: A key in doubt counts as published": (
        "sync/test_in_doubt.py what_is_in_doubt_counts_as_published_in_every_guard",
    ),
    "variants of a product differ in a product field: All of them are recorded": (
        "sync/test_properties.py where_variants_differ_the_lowest_code_speaks_for_the_product",
        "sync/test_properties.py variants_that_differ_in_a_field_of_their_product_are_no_drift",
    ),
    "variants of a product differ in a product field: When that variant leaves": (
        "sync/test_as_sent.py the_next_variant_speaks_when_the_first_leaves",
        "sync/test_as_sent.py what_the_first_variant_says_anew_is_said_of_all",
    ),
    "variants of a product differ in a product field: So they are when that variant was refused": (
        "sync/test_as_sent.py the_next_variant_speaks_when_a_refused_first_one_leaves",
    ),
    "variants of a product differ in a product field: A variant that was not sent meanwhile": (
        "sync/test_as_sent.py a_variant_that_was_not_sent_is_known_to_have_the_products_title",
        "sync/test_as_sent.py a_variant_that_was_only_removed_elsewhere_is_known_to_have_the_products_title",
    ),
    "a default price or a product's boolean turns blank that was sent, or may have been: The row is held": (
        "sync/test_as_sent.py a_price_that_turns_blank_is_held",
        "sync/test_as_sent.py a_price_that_is_in_doubt_and_turns_blank_is_held",
        "sync/test_as_sent.py a_boolean_that_turns_blank_is_held",
    ),
    "a default price or a product's boolean turns blank that was sent, or may have been: It is sent once": (
        "sync/test_in_doubt.py a_blank_price_is_sent_once_a_repair_has_seen_that_nothing_is_held",
    ),
    "a default price or a product's boolean turns blank that was sent, or may have been: With `blank_price`": (
        "sync/test_blank_values.py a_price_that_turns_blank_is_said_as_the_project_says",
    ),
    "a row is refused: Its content and its product code are": (
        "sync/test_as_sent.py a_row_that_was_refused_for_its_product_is_sent_when_that_is_another",
        "sync/test_properties.py a_refused_row_does_not_hold_the_others",
    ),
    "a row is refused: A removal has no content": (
        "model/test_histories.py what_went_wrong_once_does_not_go_wrong_again",
    ),
    "a field leaves the mapping: The plan says": (
        "sync/test_as_sent.py a_field_that_left_the_mapping_is_still_known_as_it_was_sent",
    ),
    "a field leaves the mapping: Published keeps the value": (
        "sync/test_as_sent.py a_field_that_left_the_mapping_is_still_known_as_it_was_sent",
        "sync/test_as_sent.py a_new_variant_has_what_its_product_keeps_of_a_field_that_left_the_mapping",
    ),
    "a field leaves the mapping: A price tier, a warehouse": (
        "sync/test_as_sent.py a_price_tier_that_left_the_mapping_is_sent_anew_when_it_is_mapped_again",
    ),
    "somebody approves a plan (`--expect`, `--approve-deletes`, `--approve-changes`): These very changes": (
        "sync/test_in_doubt.py an_approval_is_of_its_own_keys",
        "sync/test_properties.py an_approved_plan_is_approved_with_its_values",
        "sync/test_properties.py an_approval_holds_for_its_plan_only",
    ),
    "somebody approves a plan (`--expect`, `--approve-deletes`, `--approve-changes`): A run that goes on": (
        "sync/test_in_doubt.py what_was_approved_and_not_answered_needs_no_second_approval",
        "sync/test_in_doubt.py an_approval_is_of_its_own_keys",
    ),
    "somebody approves a plan (`--expect`, `--approve-deletes`, `--approve-changes`): It approves nothing itself": (
        "sync/test_in_doubt.py interrupted_runs_approve_nothing_themselves",
        "sync/test_in_doubt.py the_rest_of_a_first_load_does_not_grow",
    ),
    "somebody approves a plan (`--expect`, `--approve-deletes`, `--approve-changes`): The approval ends": (
        "sync/test_in_doubt.py an_approval_ends_with_the_run_that_stays_within_the_limits",
        "sync/test_in_doubt.py an_approval_does_not_outlive_a_read_in_which_its_keys_were_back",
    ),
    "an older version's state is opened: What it remembered": (
        "sync/test_older_states.py a_state_of_version_3_sends_nothing_but_what_was_tried",
    ),
    "an older version's state is opened: An approval": (
        "sync/test_older_states.py a_state_of_version_3_sends_nothing_but_what_was_tried",
    ),
    # The promise.
    "Delivery: At least once": ("sync/test_crash_recovery.py after_any_mishaps_stock2shop_holds_what_the_source_says",),
    "Delivery: A batch whose answer was lost": (
        "sync/test_properties.py a_batch_that_was_taken_but_not_answered_is_sent_again_harmlessly",
        "sync/test_in_doubt.py an_update_that_was_not_answered_is_undone_when_the_source_goes_back",
    ),
    "Order: Removals first": (
        "sync/test_properties.py a_variant_that_moves_leaves_its_old_product_first",
        "sync/test_properties.py a_product_that_fits_into_a_request_is_not_parted",
    ),
    "Order: A product's variants": ("sync/test_properties.py a_product_that_fits_into_a_request_is_not_parted",),
    "Crash, power cut, `kill -9`: Nothing is lost": (
        "cli/test_commands.py a_run_that_is_killed_loses_and_doubles_nothing",
        "sync/test_crash_recovery.py after_any_mishaps_stock2shop_holds_what_the_source_says",
    ),
    "Crash, power cut, `kill -9`: The next run computes": (
        "cli/test_commands.py a_run_that_is_killed_loses_and_doubles_nothing",
    ),
    "Stock2Shop is down: Retries with backoff": (
        "stock2shop/test_client.py backoff_doubles_up_to_a_cap_and_ends_with_the_retries",
        "cli/test_commands.py a_stock2shop_that_is_not_there_ends_with_1_and_loses_nothing",
    ),
    "Stock2Shop is down: The next run": (
        "cli/test_commands.py a_stock2shop_that_is_not_there_ends_with_1_and_loses_nothing",
    ),
    "A row breaks a rule: It is quarantined": (
        "sync/test_rules.py a_row_that_breaks_a_rule_is_held_with_its_reason",
        "sync/test_properties.py a_row_that_comes_to_break_a_rule_is_not_removed",
    ),
    "A row breaks a rule: The rest goes": ("sync/test_properties.py a_first_run_sends_everything_that_is_sound",),
    "Stock2Shop refuses a row: The rows that the answer names": (
        "stock2shop/test_delivery.py a_tenth_of_the_rows_refused_costs_two_requests_each",
        "stock2shop/test_isolation.py few_refused_rows_cost_few_requests",
        "sync/test_properties.py a_refused_row_does_not_hold_the_others",
        "sync/test_properties.py a_refused_row_is_sent_again_when_somebody_asks",
    ),
    "Stock2Shop refuses many rows: A run spends": (
        "stock2shop/test_delivery.py a_tenth_of_many_rows_refused_costs_a_bounded_number_of_requests",
    ),
    "Stock2Shop refuses many rows: The other batches": (
        "stock2shop/test_delivery.py a_tenth_of_many_rows_refused_costs_a_bounded_number_of_requests",
    ),
    "Stock2Shop refuses everything: Once rows of ten products": (
        "stock2shop/test_delivery.py nothing_is_blamed_where_everything_is_refused",
    ),
    "Stock2Shop refuses everything: The rows of fewer products": (
        "sync/test_belief.py few_products_that_are_all_refused_are_blamed",
        "sync/test_properties.py a_refused_row_is_sent_again_when_somebody_asks",
    ),
    "Stock2Shop keeps answering 500 for a batch: The batch is parted": (
        "sync/test_properties.py a_row_that_breaks_stock2shop_does_not_hold_up_the_others",
    ),
    "Stock2Shop keeps answering 500 for a batch: The row that is left alone": (
        "sync/test_properties.py a_row_that_breaks_stock2shop_does_not_hold_up_the_others",
        "sync/test_properties.py no_row_is_blamed_while_stock2shop_answers_500_to_everything",
        "sync/test_properties.py a_row_is_not_blamed_for_a_single_500",
    ),
    "Stock2Shop keeps answering 500 for a batch: A row that is the only one": (
        "sync/test_properties.py a_row_alone_with_a_500_fails_no_more_than_a_few_runs",
    ),
    "Stock2Shop refuses the account or the address: The run stops": (
        "stock2shop/test_client.py an_answer_about_the_account_or_the_address_is_no_refusal_of_rows",
    ),
    "A batch is large: Beyond 8 MB": (
        "sync/test_properties.py a_batch_of_long_descriptions_is_parted_between_products",
    ),
    "A row is marked Ignore: Neither": (
        "sync/test_properties.py a_row_that_is_marked_ignore_is_neither_sent_nor_removed",
    ),
    "A row is marked Ignore: Every plan says": (
        "sync/test_blank_values.py rows_that_stay_although_they_are_ignored_are_told_in_every_plan",
    ),
    "A row is marked Delete: Its removal": ("sync/test_properties.py a_row_marked_delete_is_sent_once",),
    "A key is gone: Removed": (
        "sync/test_properties.py missing_keys_are_kept_where_the_project_says_so",
        "sync/test_properties.py mass_deletes_stop_before_anything_is_sent",
    ),
    "A source loses a little with each read: Removals within 24 hours": (
        "sync/test_removals.py a_source_that_loses_a_tenth_with_each_read_is_not_emptied",
        "sync/test_removals.py a_project_may_allow_more_in_a_day_than_in_a_run",
    ),
    "A source loses a little with each read: Keys that come back": (
        "sync/test_removals.py keys_that_come_back_after_they_were_removed_are_named",
        "sync/test_removals.py keys_that_come_back_are_named_where_runs_are_seldom_too",
    ),
    "A key may only have lost its code: Held.": ("sync/test_properties.py a_code_that_turns_blank_removes_nothing",),
    "A key may only have lost its code: As long as the view shows": (
        "sync/test_properties.py a_code_that_turns_blank_removes_nothing",
        "sync/test_properties.py an_ignored_row_whose_code_turns_blank_stays_as_it_is",
        "sync/test_properties.py an_item_that_is_delisted_is_removed_beside_an_old_blank_row",
    ),
    "A key may only have lost its code: After `s2s adopt`": (
        "sync/test_properties.py an_adopted_item_is_held_whose_row_lost_its_code_before",
    ),
    "The extract breaks off: The run fails": (
        "database/test_odbc.py a_connection_that_breaks_leaves_published_untouched",
    ),
    "The extract is empty, or short of `min_rows`: The run stops": (
        "sync/test_properties.py an_empty_extract_removes_nothing",
        "sync/test_in_doubt.py a_first_read_below_min_rows_is_stopped",
    ),
    "Too many removals or changes: The run stops": (
        "sync/test_properties.py mass_deletes_stop_before_anything_is_sent",
        "sync/test_properties.py mass_changes_stop_before_anything_is_sent",
        "cli/test_commands.py a_run_that_a_guard_stops_ends_with_3_and_names_the_way_on",
    ),
    "The deadline comes: Reading is broken off": (
        "sync/test_deadline.py reading_a_slow_database_ends_at_the_deadline",
        "sync/test_properties.py a_deadline_stops_between_batches_and_the_next_run_goes_on",
    ),
    "The deadline comes: A run that had sent nothing": (
        "sync/test_deadline.py a_run_whose_deadline_came_before_its_first_batch_is_an_error",
    ),
    "Two runs at once: The second": ("cli/test_commands.py two_runs_of_one_project_do_not_meet",),
    "Two runs at once: The lock goes": (
        "cli/test_commands.py two_runs_of_one_project_do_not_meet",
        "cli/test_commands.py a_run_that_is_killed_loses_and_doubles_nothing",
    ),
    "Projects share a Stock2Shop user: Their runs": (
        "cli/test_many_projects.py projects_that_share_a_user_run_at_the_same_time",
        "stock2shop/test_local_user.py all_runs_of_a_user_share_one_pace",
        "stock2shop/test_local_user.py a_run_takes_the_token_that_another_one_got_meanwhile",
    ),
    "Stock2Shop's address, the source id or the client's database changes: Nothing is planned": (
        "sync/test_origin.py another_account_is_sent_nothing_before_somebody_says_what_is_meant",
        "sync/test_origin.py another_source_id_is_another_account",
        "sync/test_origin.py another_database_is_not_compared_with_what_came_from_the_first",
        "sync/test_origin.py forgetting_fills_the_other_account",
        "sync/test_origin.py keeping_goes_on_where_the_account_only_moved",
    ),
    "The state file is lost: `s2s adopt`": (
        "cli/test_commands.py adopt_takes_what_stock2shop_holds",
        "sync/test_normal_form.py products_that_were_sent_are_no_difference",
    ),
    "The state file is lost: A default price or a flag": (
        "sync/test_blank_values.py what_is_held_of_a_blank_value_is_known_after_an_adoption",
    ),
    "The state file is lost: Of a field that is mapped only later": (
        "sync/test_as_sent.py a_field_that_is_mapped_after_stock2shop_was_read_is_sent_though_it_is_blank",
    ),
    "The state file is lost: A variant that it holds in several products": (
        "sync/test_in_doubt.py a_variant_that_stock2shop_holds_in_two_products_is_adopted_in_its_own",
    ),
    "Before anything is sent, every row": ("sync/test_properties.py every_row_is_accounted_for",),
    "source rows =": ("sync/test_properties.py every_row_is_accounted_for",),
    "keys gone   =": ("sync/test_properties.py a_key_that_is_gone_and_unaccounted_for_is_noticed",),
    "The left side is counted": ("sync/test_properties.py rows_that_do_not_add_up_stop_the_run",),
    "If the two differ": ("sync/test_properties.py rows_that_do_not_add_up_stop_the_run",),
    # What it stands on: what the engine makes of it.
    "A success that neither": (
        "stock2shop/test_client.py a_success_that_does_not_count_is_not_a_receipt",
        "stock2shop/test_delivery.py a_success_with_items_that_failed_is_no_receipt",
    ),
    "`s2s verify` finds that": ("cli/test_commands.py verify_finds_and_fixes_drift",),
    "So a default price or a boolean": ("sync/test_as_sent.py a_boolean_that_turns_blank_is_held",),
    # What refused rows cost.
    "How many requests it takes": (
        "stock2shop/test_blame.py a_row_that_a_refusal_names_is_found",
        SHAPES,
    ),
    "Each kind of name is believed": (
        "stock2shop/test_isolation.py a_name_that_is_always_wrong_is_soon_not_believed",
        "stock2shop/test_isolation.py of_two_kinds_of_guesses_the_right_one_is_found_out",
    ),
    "the answer names all of them: about 110": (
        "stock2shop/test_isolation.py refusals_that_name_all_rows_cost_one_request_each",
    ),
    "it names the first of them: about 205": (
        "stock2shop/test_isolation.py refusals_that_name_a_row_cost_two_requests_each",
    ),
    "it names none, and they share what no accepted row has": (
        "stock2shop/test_isolation.py rows_that_are_refused_for_what_they_share_are_found_by_it",
    ),
    "it names none, and they share nothing: about 530": (
        "stock2shop/test_isolation.py refusals_that_say_nothing_are_searched_as_well_as_can_be",
        "stock2shop/test_delivery.py rows_refused_without_a_word_cost_a_bounded_number_of_requests_a_run",
    ),
    "The last number cannot be brought below 300": (
        "sync/test_belief.py no_search_by_answers_of_one_bit_tells_100_of_1000_rows_in_300",
    ),
    "So the search goes on": (
        "stock2shop/test_delivery.py rows_refused_without_a_word_cost_a_bounded_number_of_requests_a_run",
    ),
    "What it has found is kept": (
        "sync/test_properties.py a_refused_row_does_not_hold_the_others",
        "stock2shop/test_delivery.py rows_refused_without_a_word_cost_a_bounded_number_of_requests_a_run",
    ),
    # What a resend costs.
    "The plan announces it": (
        "sync/test_properties.py a_changed_sync_token_sends_everything_again",
        "sync/test_belief.py a_plan_tells_requests_and_minutes_of_a_resend",
    ),
    "Every run makes one request more": (
        "sync/test_properties.py a_plan_counts_the_requests_that_the_run_makes",
        "sync/test_belief.py a_plan_tells_requests_and_minutes_of_a_resend",
    ),
    "A run that finds no token": (
        "stock2shop/test_local_user.py a_token_is_kept_between_runs_until_stock2shop_refuses_it",
        "stock2shop/test_client.py the_pace_spaces_all_requests_evenly",
    ),
    "A run that is interrupted in it": ("sync/test_belief.py a_resend_that_breaks_off_goes_on_where_it_was",),
    "When the source's sync token changes": ("sync/test_properties.py a_changed_sync_token_sends_everything_again",),
}

SAID = (
    "moment: what is believed",
    "the other variants of a product that was sent in doubt: Stock2Shop may have taken",
    "a default price or a product's boolean turns blank that was sent, or may have been: It cannot be said",
    "A key may only have lost its code: An item whose code was blanked shows",
    "These come from Stock2Shop's public pages",
    "Products are upserted by source and source code.",
    "The answer to a queued batch says",
    "A queued item may still fail later",
    "An item with `product_active",
    "A field that an item leaves out stays as it was.",
    "A list that an item has",
    "A refused batch says that at least one",
    "100 refused rows of 1,000: requests",
)
"""What is Stock2Shop's to promise, says why, or is the head of a table."""


def sentences() -> Iterator[str]:
    """The sentences of the page; those of a table behind the first cell of their row."""
    paragraph: list[str] = []
    code = False
    for line in [*PAGE.read_text("utf-8").splitlines(), ""]:
        if line.startswith("```"):
            code = not code
        elif code:
            yield line
        elif line.startswith("|"):
            head, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            if set(head) <= {"-"}:
                continue
            yield from (f"{head}: {each}" for cell in cells for each in _parted(cell))
        elif line.startswith("#") or not line.strip():
            yield from _parted(" ".join(paragraph))
            paragraph = []
        else:
            if line.startswith("- "):
                yield from _parted(" ".join(paragraph))
                paragraph = []
            paragraph.append(line.removeprefix("- ").strip())


def _parted(text: str) -> list[str]:
    """The sentences of a text, without how sure they are: that stands in brackets."""
    text = re.sub(r"\*\([^)]*\)\*", "", text)
    return [part.strip() for part in re.split(r"(?<=[.:!?*])\s+(?=[A-Z`])", text) if part.strip()]


@pytest.mark.parametrize("sentence", list(dict.fromkeys(sentences())))
def test_each_sentence_of_the_delivery_promise_is_held_by_a_test(sentence: str) -> None:
    """A new sentence needs a test before it can stand there."""
    assert [begin for begin in (*HELD, *SAID) if sentence.startswith(begin)], sentence


@pytest.mark.parametrize("begin", [*HELD, *SAID])
def test_no_sentence_is_held_that_is_not_there_any_more(begin: str) -> None:
    """What the page no longer promises goes from the table too."""
    assert any(sentence.startswith(begin) for sentence in sentences())


@pytest.mark.parametrize("named", sorted({name for names in HELD.values() for name in names}))
def test_each_named_test_is_there(named: str) -> None:
    """By its file and its name."""
    file, name = named.split()
    assert f"\ndef test_{name}(" in (ROOT / "tests" / file).read_text("utf-8")
