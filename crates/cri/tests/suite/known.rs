//! What containerd is known to do otherwise than the stories tell, with the reason.
//!
//! Seen with containerd 2.1 and runc. These stories are played there all the same and have to fail, which shows that they
//! can.

const CONTAINERD: &[(&str, &str)] = &[
    ("a_stopped_pod_takes_no_container", "it creates one"),
    ("a_pod_gets_new_limits", "the call is newer"),
    ("the_status_has_its_containers", "only where it sends events by configuration"),
    ("files_of_a_pod_with_users_of_its_own_are_its_root_s", "/dev/shm is nobody's"),
    ("the_container_says_which_signal_asks", "it does not tell the signal"),
    ("an_ended_container_can_be_asked_nothing", "it takes limits for it"),
    ("an_image_is_known_by_its_id_everywhere", "image_id is empty"),
    ("a_command_s_input_has_an_end", "its channels have no end"),
    ("a_container_is_attached_to", "its channels have no end"),
    ("a_capability_that_does_not_exist_is_refused", "runc only warns"),
    ("ambient_capabilities_are_a_user_s", "not for a user"),
    ("a_mount_without_a_path_is_refused", "it mounts on the root"),
    ("a_folder_of_an_image_is_a_volume", "sub-paths are newer"),
    ("a_file_of_an_image_is_a_volume", "sub-paths are newer"),
    ("a_path_that_the_image_has_not_is_refused", "sub-paths are newer"),
    ("a_path_out_of_the_image_is_refused", "sub-paths are newer"),
    ("two_containers_have_the_same_image_as_a_volume", "sub-paths are newer"),
    ("images_are_listed_by_filter", "it ignores the filter"),
    ("only_what_runs_has_stats_in_the_list", "what has ended is listed too"),
    ("processor_time_grows", "it tells no rate of a single container"),
    ("lists_and_streams_have_the_same", "streamed lists are newer"),
    ("descriptors_stay_the_same", "metrics are newer"),
    ("metrics_are_those_that_are_described", "metrics are newer"),
    ("metrics_tell_what_is_true", "metrics are newer"),
];

/// What it does otherwise in a story, by the story's name.
pub(crate) fn of_containerd(story: &str) -> Option<&'static str> {
    CONTAINERD.iter().find(|(name, _)| *name == story).map(|(_, known)| *known)
}
