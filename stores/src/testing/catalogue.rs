//! The names of the properties, each once: [`conformance!`](crate::conformance) makes tests of
//! them, and `properties/mod.rs` the table [`PROPERTIES`].

use futures_util::future::BoxFuture;

use super::{Fixture, properties};

/// A property that every store must have.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// The name, which begins with the number of the contract that the property proves.
    pub name: &'static str,
    /// Runs the property on an empty store, and panics if it doesn't hold.
    pub holds: fn(Fixture) -> BoxFuture<'static, ()>,
}

/// Every property of the suite.
pub const PROPERTIES: &[Property] = properties::TABLE;

/// Makes one test of each property, in a module of the given name.
///
/// The second argument is a closure whose future returns a [`Fixture`](crate::testing::Fixture)
/// with an empty store, or `None` if a service is missing. It is called once for each test. See
/// [`testing`](crate::testing) for an example.
#[macro_export]
macro_rules! conformance {
    ($suite:ident, $harness:expr) => {
        mod $suite {
            #[allow(unused_imports, reason = "the harness may need nothing from outside")]
            use super::*;

            $crate::__highwater_properties! { [$crate::__highwater_tests] $harness }
        }
    };
}

/// Makes one test per property.
#[doc(hidden)]
#[macro_export]
macro_rules! __highwater_tests {
    ([$harness:expr] $($file:ident: $($name:ident)+;)+) => {
        $($(
            #[test]
            fn $name() {
                $crate::testing::run(stringify!($name), $harness);
            }
        )+)+
    };
}

/// Calls the macro named first with the names of all properties, by file.
#[doc(hidden)]
#[macro_export]
macro_rules! __highwater_properties {
    ([$($callback:tt)+] $($args:tt)*) => {
        $($callback)+! { [$($args)*]
            append:
                w1_n_racing_appends_at_one_version_have_one_winner
                w1_n_racing_first_appends_have_one_winner
                w1_any_is_met_by_every_stream
                w1_no_stream_is_met_only_without_events
                w1_stream_exists_is_met_only_with_events
                w1_a_version_is_met_only_by_itself
                w1_a_head_is_met_only_by_its_own_event
                w1_a_conflict_says_what_was_expected_and_what_is
                w1_a_stream_without_events_is_only_checked
                w1_versions_are_contiguous_under_64_writers
                w3_positions_are_contiguous_and_in_order_under_64_writers
                w1_appends_called_back_to_back_can_build_on_one_another
                w1_a_broken_chain_fails_even_where_the_version_fits
                w1_an_append_goes_on_when_its_answer_is_dropped
                w1_versions_go_beyond_70_000;
            atomic:
                w2_an_append_over_three_streams_is_stored_whole
                w2_one_stale_stream_of_three_leaves_nothing
                w2_a_stale_condition_leaves_nothing
                w2_bad_appends_among_64_racing_ones_fail_alone
                w2_bad_appends_among_64_called_at_once_fail_alone;
            idempotency:
                w4_one_command_id_raced_by_16_tasks_appends_once
                w4_one_command_id_called_twice_at_once_appends_once
                w4_a_repeat_gets_the_first_answer
                w4_a_repeat_through_another_handle_gets_the_first_answer
                w4_a_repeat_takes_precedence_over_a_conflict
                w4_a_used_id_is_refused_for_another_command
                w4_a_used_id_is_refused_before_a_conflict_is_looked_for
                w4_of_two_commands_racing_under_one_id_one_is_stored
                w4_an_append_without_events_is_recorded
                w4_an_append_that_failed_leaves_its_id_free
                w4_an_id_counts_over_all_streams
                w4_a_stored_command_can_be_looked_up
                w4_every_bit_of_a_fingerprint_counts;
            boundary:
                w6_a_matching_event_after_the_position_is_a_conflict
                w6_a_matching_event_up_to_the_position_is_none
                w6_a_condition_can_ask_for_types
                w6_a_condition_can_ask_for_a_category
                w6_a_condition_can_ask_for_all_of_several_tags
                w6_types_and_tags_must_match_in_one_event
                w6_one_of_several_items_is_enough
                w6_a_condition_without_items_is_over_every_event
                w6_an_append_does_not_break_its_own_condition
                w6_condition_and_expectation_must_both_be_met
                w6_of_16_appends_racing_on_a_tag_one_wins
                w6_of_16_appends_racing_on_a_type_one_wins
                w6_of_16_appends_racing_on_several_items_one_wins
                w6_appends_that_do_not_match_do_not_hinder
                w6_a_condition_sees_appends_called_just_before
                w6_tags_whose_hashes_collide_stay_apart;
            definition:
                r5_a_view_keeps_the_definition_that_it_was_opened_with
                r5_a_definition_is_replaced_once_and_fences_the_workers
                r5_a_definition_is_not_replaced_beyond_what_was_searched
                r5_a_worker_of_another_definition_can_not_claim
                r5_a_name_that_a_view_had_is_refused
                r5_a_view_can_be_renamed_back
                r5_a_definition_that_is_replaced_beside_a_reshard_fences_every_shard;
            generation:
                r5_generations_stand_beside_each_other
                r5_the_names_of_all_views_are_listed_each_once_in_order
                r5_a_later_generation_is_that_of_one_definition
                r5_a_generation_is_promoted_once_it_shows_nothing_older
                r5_a_promotion_never_goes_back_on_any_shard
                r5_a_generation_is_removed_unless_it_is_live_or_in_use
                r5_generations_are_renamed_with_their_view;
            tagging:
                w6_added_tags_are_found_by_reads_and_conditions
                w6_tags_added_again_change_nothing
                w6_tags_added_at_once_are_all_kept
                w6_malformed_tags_are_not_added
                w6_untagged_events_are_read_in_their_place
                w6_an_event_is_untagged_until_its_tag_is_added
                w6_a_condition_sees_events_that_lack_a_tag
                w6_a_condition_names_the_first_event_that_breaks_it
                w6_no_decision_is_stored_after_an_event_that_lacks_its_tag;
            transfer:
                w2_an_imported_log_is_the_log_that_was_read
                w4_a_command_is_recognised_after_an_import
                w3_an_import_continues_the_log_or_stores_nothing;
            exact:
                w2_an_event_comes_back_as_it_was_written
                w2_metadata_belongs_to_every_event_of_its_append
                w2_a_payload_of_one_mebibyte_comes_back
                w2_an_empty_payload_comes_back
                w2_a_payload_that_is_no_text_comes_back
                w2_schema_versions_and_types_may_differ_in_one_append
                w1_hostile_stream_ids_stay_apart
                w2_hostile_stream_ids_share_an_append
                w2_the_longest_tag_and_many_tags_come_back
                w3_recorded_times_never_decrease_along_the_log
                w3_positions_and_times_are_monotone_along_a_stream
                w3_the_log_and_the_streams_tell_the_same;
            read:
                r_an_unknown_stream_is_an_empty_page
                r_an_empty_log_is_an_empty_page
                r_a_stream_page_ends_exactly_at_its_limit
                r_a_limit_of_zero_advances_nothing
                r_pages_of_a_stream_of_any_size_give_the_same_events
                r_pages_of_the_log_of_any_size_give_the_same_events
                r_pages_of_a_query_of_any_size_give_the_same_events
                r_a_full_log_page_goes_through_its_last_event
                r_a_last_log_page_goes_through_the_end
                r_an_exactly_full_log_page_is_followed_by_nothing
                r_through_advances_over_events_that_do_not_match
                r_backward_reads_begin_anywhere_and_exclude_their_bound
                r_forward_reads_exclude_their_bound
                r_a_page_of_large_events_ends_by_its_bytes;
            query:
                r_a_category_is_not_its_prefix
                r_types_are_compared_whole
                r_tags_must_all_be_there
                r_tags_whose_hashes_collide_stay_apart
                r_hostile_tags_stay_apart
                r_the_parts_of_an_item_must_all_match
                r_an_event_that_matches_several_items_is_found_once;
            follow:
                w3_a_waiting_follower_is_woken_by_another_handle
                w3_waiting_ends_at_once_where_there_is_more
                w3_no_wake_up_is_missed
                w3_a_follower_gets_all_once_in_order_while_eight_write
                w3_a_follower_resumes_exclusively_from_anywhere
                w3_a_follower_of_a_query_skips_only_what_does_not_match;
            limits:
                w2_a_payload_at_the_limit_is_stored
                w2_a_payload_over_the_limit_is_refused
                w2_metadata_at_the_limit_is_stored_and_over_it_refused
                w2_as_many_events_as_the_limit_are_stored_and_more_refused
                w2_a_stream_named_twice_is_refused
                w2_malformed_tags_of_an_event_are_refused
                w6_malformed_tags_of_a_condition_are_refused
                w2_w6_a_type_name_that_no_store_could_hold_is_refused
                w4_a_limit_is_looked_at_before_the_command_id;
            snapshot:
                s_a_stream_without_snapshot_has_none
                s_a_snapshot_comes_back_as_it_was_saved
                s_a_large_snapshot_comes_back
                s_a_later_snapshot_replaces_an_earlier_one
                s_an_earlier_snapshot_does_not_replace_a_later_one
                s_of_two_snapshots_of_one_version_the_first_stays
                s_a_newer_schema_replaces_a_later_snapshot_of_an_older_one
                s_snapshots_of_hostile_streams_stay_apart
                s_of_racing_snapshots_the_latest_stays;
            view:
                r1_a_fresh_view_is_at_the_start
                r1_a_fresh_view_has_every_shard_of_its_sharding
                r1_a_new_view_begins_where_its_spec_says
                r1_opening_a_view_again_changes_nothing
                r1_one_view_opened_by_eight_at_once_is_opened
                r1_a_view_that_was_never_opened_is_refused
                r1_a_read_beside_the_first_opening_of_a_view_finds_all_of_it_or_nothing
                r1_a_commit_moves_rows_and_progress_together
                r1_a_commit_without_rows_moves_the_progress
                r1_a_commit_moves_its_own_shard_alone
                r1_the_cursor_comes_with_the_claim_alone
                r1_a_commit_from_elsewhere_changes_nothing
                r1_of_eight_racing_commits_one_wins
                r1_a_row_can_be_deleted_and_written_again
                r1_rows_come_in_the_order_of_their_keys
                r1_hostile_keys_and_values_stay_apart
                r1_rows_come_back_byte_for_byte
                r1_ten_thousand_rows_fit_in_one_commit
                r1_a_row_of_one_mebibyte_comes_back
                r1_two_views_stay_apart
                r1_a_view_without_rows_has_progress_alone
                r1_a_read_shows_rows_and_progress_of_one_moment
                r1_a_worker_signs_for_nothing_that_is_not_there;
            refused:
                r1_what_is_no_json_is_refused_with_all_of_its_commit
                r1_a_commit_does_not_move_a_view_back
                r1_r4_a_key_with_nul_is_refused_wherever_it_is_asked_for
                r1_r4_the_longest_key_is_held_and_a_longer_one_refused;
            table:
                r1_r4_a_view_is_renamed_with_all_that_belongs_to_it
                r1_a_view_renamed_by_eight_at_once_is_renamed
                r1_a_former_name_does_not_replace_a_view_that_is_there
                r1_columns_and_indexes_can_be_added_to_a_view_with_rows
                r1_a_column_that_is_there_as_another_kind_is_refused
                r1_a_row_that_its_columns_cannot_hold_is_refused
                r1_a_text_too_long_for_its_index_is_refused
                r1_columns_and_indexes_that_rows_do_not_fit_are_refused
                r1_a_view_that_contradicts_itself_is_refused;
            shard:
                r1_of_16_tasks_that_claim_a_free_shard_one_gets_it
                r1_16_claims_by_force_have_16_epochs_and_the_last_commits
                r1_a_fenced_worker_changes_nothing_from_any_position
                r1_claiming_ones_own_shard_again_fences_the_claim_before
                r1_a_live_lease_is_respected
                r1_a_lease_that_has_run_out_gives_the_shard_free
                r1_a_lease_that_has_run_out_does_not_keep_its_holder_from_committing
                r1_a_lease_without_end_is_held
                r1_a_sign_of_life_keeps_what_a_worker_holds
                r1_a_released_shard_is_free_and_its_holder_fenced
                r1_a_release_under_another_epoch_changes_nothing
                r1_the_roll_tells_who_is_alive_and_who_holds_what
                r1_a_worker_without_a_sign_of_life_is_off_the_roll
                r1_signing_out_gives_back_what_a_worker_holds_and_nothing_else
                r1_a_shard_that_is_not_there_cannot_be_claimed
                r1_workers_that_rob_one_another_count_each_commit_once;
            stop:
                r2_a_stop_is_seen_until_the_next_commit_to_its_shard
                r2_a_stop_under_another_epoch_changes_nothing
                r2_a_view_that_is_resharded_has_not_stopped
                r2_a_waiter_is_woken_by_a_stop;
            divide:
                r1_a_view_divided_anew_goes_on_from_where_it_was
                r1_rows_and_parked_keys_stay_when_a_view_is_divided_anew
                r1_shards_at_different_positions_are_not_divided_anew
                r1_a_view_is_divided_under_the_claims_of_all_its_shards_alone
                r1_workers_of_the_old_sharding_are_fenced
                r1_a_worker_that_knows_the_old_sharding_claims_nothing
                r1_a_claim_and_a_division_that_race_do_not_both_go_through
                r1_of_eight_who_divide_at_once_one_does;
            parked:
                r4_a_parked_key_is_listed_as_it_was_parked
                r4_rows_and_parked_keys_move_together
                r4_a_key_without_a_row_is_parked_all_the_same
                r4_events_wait_in_log_order_each_once
                r4_no_event_waits_behind_a_key_that_is_not_parked
                r4_a_key_is_free_when_no_event_waits_any_more
                r4_a_key_stays_parked_since_the_first_that_still_waits
                r4_a_key_that_fails_again_has_its_wish_granted
                r4_only_of_a_parked_key_another_try_can_be_asked
                r4_changes_of_one_commit_are_made_in_order
                r4_parked_keys_come_in_pages_in_the_order_of_their_keys
                r4_hostile_and_long_keys_are_parked_apart
                r4_waiting_events_come_in_pages
                r4_a_commit_that_is_refused_parks_nothing
                r4_parked_keys_of_two_views_stay_apart
                r4_wishes_and_commits_that_race_lose_nothing;
            range:
                r2_a_range_without_rows_has_the_progress
                r2_rows_of_a_range_come_by_the_bytes_of_their_keys
                r2_a_range_keeps_to_its_bounds
                r2_pages_of_a_range_of_any_size_give_every_row_once
                r4_a_range_names_parked_keys_also_those_without_a_row
                r2_a_range_shows_rows_and_progress_of_one_moment
                r2_a_range_of_what_is_not_there_is_refused
                r2_a_range_has_every_shard_of_its_view;
            head:
                r2_what_is_read_of_a_view_tells_the_head_of_the_log
                r2_what_was_acknowledged_is_in_the_head_that_is_read_after
                r3_a_log_is_the_same_through_every_handle;
            changed:
                r3_a_waiter_is_woken_by_a_commit_through_another_handle
                r3_what_has_changed_since_it_was_seen_is_not_waited_for
                r3_waiting_ends_also_where_nothing_changes
                r4_a_waiter_is_woken_by_a_wish_for_another_try
                r3_no_wake_up_is_missed;
            model:
                w1_w2_w4_w6_random_appends_do_as_in_the_model
                w1_random_appends_build_on_one_another_as_in_the_model
                r_random_pages_are_as_in_the_model;
        }
    };
}
