# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_runhcs_global_optspecs
    string join \n debug log= log-format= root= systemd-cgroup rootless= owner= criu= v/version h/help
end

function __fish_runhcs_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_runhcs_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_runhcs_using_subcommand
    set -l cmd (__fish_runhcs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c runhcs -n "__fish_runhcs_needs_command" -l log -d 'Append the log to this file instead of writing it to stderr; errors then go to both' -r -F
complete -c runhcs -n "__fish_runhcs_needs_command" -l log-format -d 'Write the log as \'text\' (default) or \'json\'' -r
complete -c runhcs -n "__fish_runhcs_needs_command" -l root -d 'Keep the state of containers below this folder, which should be in a tmpfs' -r -F
complete -c runhcs -n "__fish_runhcs_needs_command" -l rootless -d 'Whether to go on where cgroups may not be written: \'true\', \'false\' or \'auto\' (default)' -r
complete -c runhcs -n "__fish_runhcs_needs_command" -l owner -d 'Record this as the owner of new containers; `list` shows it' -r
complete -c runhcs -n "__fish_runhcs_needs_command" -l criu -d 'The criu program for checkpoint and restore' -r -F
complete -c runhcs -n "__fish_runhcs_needs_command" -l debug -d 'Write debug messages to the log'
complete -c runhcs -n "__fish_runhcs_needs_command" -l systemd-cgroup -d 'Let systemd make the cgroups; cgroupsPath then has the form "slice:prefix:name"'
complete -c runhcs -n "__fish_runhcs_needs_command" -s v -l version -d 'Print the version'
complete -c runhcs -n "__fish_runhcs_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "checkpoint" -d 'Write a running container to disk'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "compat" -d 'Tell whether an image can run on a host (exit code 0) or not (2), why, and what would work instead'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "completion" -d 'Print the completion script of a shell'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "create" -d 'Create a container'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "delete" -d 'Delete a container that does not run'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "events" -d 'Print statistics and out-of-memory events of a container as JSON'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "exec" -d 'Run another process in a container'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "features" -d 'Print what this runtime can do as JSON'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "kill" -d 'Send a signal to a container\'s init'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "list" -d 'List containers'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "pause" -d 'Freeze all processes of a container'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "ps" -d 'List the processes of a container'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "resize-tty" -d 'Set the size of the terminal of a container\'s process'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "restore" -d 'Restore a container from a checkpoint'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "resume" -d 'Let the processes of a paused container go on'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "run" -d 'Create and run a container'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "spec" -d 'Write a config.json to start from'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "start" -d 'Start the program of a created container'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "state" -d 'Print the state of a container as JSON'
complete -c runhcs -n "__fish_runhcs_needs_command" -f -a "update" -d 'Change the limits of a container'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l image-path -d 'Folder of the image files; \'checkpoint\' below the current one if not given' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l work-path -d 'Folder of CRIU\'s working files and logs' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l manage-cgroups-mode -d 'How cgroups are treated: \'soft\' (default), \'full\', \'strict\' or \'ignore\'' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l empty-ns -d 'Make a namespace of this kind but do not restore what is in it; only \'network\' (may be repeated)' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l parent-path -d 'Folder of an earlier image, relative to this one\'s, that has what did not change since' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l status-fd -d 'Write a zero byte to this descriptor when lazy pages can be fetched' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l page-server -d 'Send memory to this page server' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l tcp-established -d 'With open TCP connections'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l ext-unix-sk -d 'With unix sockets whose other end is outside'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l shell-job -d 'With a session leader outside, as of a shell\'s job'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l file-locks -d 'With file locks'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l auto-dedup -d 'Remove from parent images what newer ones have'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l lazy-pages -d 'Leave memory behind to be fetched when it is touched (userfaultfd)'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l leave-running -d 'Let the container run on'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l tcp-skip-in-flight -d 'Without TCP connections that are being made'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l link-remap -d 'With files that were deleted while open'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -l pre-dump -d 'Write only memory, and let the container run on'
complete -c runhcs -n "__fish_runhcs_using_subcommand checkpoint" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand compat" -l host -d '\'this\' (default), \'linux\', \'windows-server-2019\', \'windows-10-1809\', \'10.0.17763/server\' and so on; behind it \'/arm64\', \'/emulation\', \'/windows-guest\', \'/no-hypervisor\', \'/no-linux-guest\'' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand compat" -l image -d '\'linux\', \'linux/arm64\', \'windows:ltsc2019\', \'windows/amd64:10.0.17763\' and so on (may be repeated: containers of a pod); one like the host if not given' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand compat" -l isolation -d '\'process\' or \'hypervisor\'; the host\'s default if not given' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand compat" -l pod -d 'In a pod with N containers; 0 is only its sandbox' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand compat" -s f -l format -d '\'text\' (default) or \'json\'' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand compat" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand completion" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -s b -l bundle -d 'The bundle\'s folder; the current one if not given' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l console-socket -d 'Send the master of the process\'s terminal to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l pidfd-socket -d 'Send a descriptor of the process (a pidfd) to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l pid-file -d 'Write the process id to this file' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l preserve-fds -d 'Pass N more descriptors to the process, behind the standard streams and those of socket activation' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l shim-log -d 'Log file of the container\'s shim' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l vm-log -d 'Log file of the utility VM\'s shim' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l vm-console -d 'Serial console of the utility VM' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l host -d 'The container whose utility VM this one shares' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l no-pivot -d 'Enter the root file system by moving its mount instead of pivot_root, for hosts that run from a ramdisk'
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -l no-new-keyring -d 'Stay in the caller\'s session keyring'
complete -c runhcs -n "__fish_runhcs_using_subcommand create" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand delete" -s f -l force -d 'Whatever its state: what runs is killed, and what does not exist is deleted already'
complete -c runhcs -n "__fish_runhcs_using_subcommand delete" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand events" -l interval -d 'How often statistics are printed' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand events" -l stats -d 'Print statistics once and exit'
complete -c runhcs -n "__fish_runhcs_using_subcommand events" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l cwd -d 'The working directory in the container' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s e -l env -d 'Add a variable to the environment (may be repeated)' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s u -l user -d 'Run as this user' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s g -l additional-gids -d 'Add a group (may be repeated)' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l process-label -d 'The SELinux label of the process' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l apparmor -d 'The AppArmor profile of the process' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l no-new-privs -d 'Whether the process may not gain privileges' -r -f -a "true\t''
false\t''"
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s c -l cap -d 'Add a capability (may be repeated)' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s p -l process -d 'Read the process from this file, in the form that config.json has it; other options do not change it' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l cgroup -d 'Run it in this sub-cgroup of the container\'s, of all controllers or of those named (may be repeated)' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l console-socket -d 'Send the master of the process\'s terminal to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l pidfd-socket -d 'Send a descriptor of the process (a pidfd) to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l pid-file -d 'Write the process id to this file' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l preserve-fds -d 'Pass N more descriptors to the process, behind the standard streams and those of socket activation' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l shim-log -d 'Log file of the process\'s shim' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s t -l tty -d 'Give the process a terminal'
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s d -l detach -d 'Do not wait for the process\'s end'
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -l ignore-paused -d 'Also in a paused container, where it makes no progress before the container is resumed'
complete -c runhcs -n "__fish_runhcs_using_subcommand exec" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand features" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand kill" -s a -l all -d 'Send it to all processes of the container; a container that does not run is then no error'
complete -c runhcs -n "__fish_runhcs_using_subcommand kill" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand list" -s f -l format -d '\'table\' (default) or \'json\'' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand list" -s q -l quiet -d 'Only the ids'
complete -c runhcs -n "__fish_runhcs_using_subcommand list" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand pause" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand ps" -s f -l format -d '\'table\' (default) or \'json\', an array of process ids on the host' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand ps" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand resize-tty" -s p -l pid -d 'The process, by its id on the host; the container\'s init if not given' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand resize-tty" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l image-path -d 'Folder of the image files; \'checkpoint\' below the current one if not given' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l work-path -d 'Folder of CRIU\'s working files and logs' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l manage-cgroups-mode -d 'How cgroups are treated: \'soft\' (default), \'full\', \'strict\' or \'ignore\'' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l empty-ns -d 'Make a namespace of this kind but do not restore what is in it; only \'network\' (may be repeated)' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -s b -l bundle -d 'The bundle\'s folder; the current one if not given' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l console-socket -d 'Send the master of the process\'s terminal to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l pid-file -d 'Write the process id to this file' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l lsm-profile -d 'A security label to restore the processes with' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l lsm-mount-context -d 'A security context to restore the mounts with' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l tcp-established -d 'With open TCP connections'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l ext-unix-sk -d 'With unix sockets whose other end is outside'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l shell-job -d 'With a session leader outside, as of a shell\'s job'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l file-locks -d 'With file locks'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l auto-dedup -d 'Remove from parent images what newer ones have'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l lazy-pages -d 'Leave memory behind to be fetched when it is touched (userfaultfd)'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -s d -l detach -d 'Do not wait for the container\'s end'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l no-subreaper -d 'Do not adopt the orphans of the container\'s processes'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -l no-pivot -d 'Enter the root file system by moving its mount instead of pivot_root'
complete -c runhcs -n "__fish_runhcs_using_subcommand restore" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand resume" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -s b -l bundle -d 'The bundle\'s folder; the current one if not given' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l console-socket -d 'Send the master of the process\'s terminal to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l pidfd-socket -d 'Send a descriptor of the process (a pidfd) to this unix socket' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l pid-file -d 'Write the process id to this file' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l preserve-fds -d 'Pass N more descriptors to the process, behind the standard streams and those of socket activation' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l shim-log -d 'Log file of the container\'s shim' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l vm-log -d 'Log file of the utility VM\'s shim' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l vm-console -d 'Serial console of the utility VM' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l host -d 'The container whose utility VM this one shares' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l no-pivot -d 'Enter the root file system by moving its mount instead of pivot_root, for hosts that run from a ramdisk'
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l no-new-keyring -d 'Stay in the caller\'s session keyring'
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -s d -l detach -d 'Do not wait for the container\'s end'
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l keep -d 'Do not delete the container when it has ended'
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -l no-subreaper -d 'Do not adopt the orphans of the container\'s processes'
complete -c runhcs -n "__fish_runhcs_using_subcommand run" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand spec" -s b -l bundle -d 'The bundle\'s folder; the current one if not given' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand spec" -l rootless -d 'For a user without privileges: in a user namespace, without a network of its own or limits'
complete -c runhcs -n "__fish_runhcs_using_subcommand spec" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand start" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand state" -s h -l help -d 'Print help'
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -s r -l resources -d 'Read the limits from this file, or from standard input for \'-\', in the form that linux.resources of config.json has; limits that are not in it stay. Other options are then ignored' -r -F
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l blkio-weight -d 'Relative weight of block I/O, 10 to 1000' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-period -d 'Length of a CPU period in microseconds; 0 is the system\'s default' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-quota -d 'CPU time in each period in microseconds; -1 is no limit' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-burst -d 'CPU time in microseconds that may be saved up for a burst' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-share -d 'Relative weight of CPU time' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-rt-period -d 'Length of a real-time period in microseconds' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-rt-runtime -d 'Real-time CPU time in each period in microseconds' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpuset-cpus -d 'CPUs to run on, such as 0-2,7' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpuset-mems -d 'Memory nodes to use, such as 0-1' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l memory -d 'Memory limit, with a unit such as 64m; -1 is no limit' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l cpu-idle -d '1 to run only when nobody else wants to (SCHED_IDLE), 0 not to' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l memory-reservation -d 'Memory that is kept when others need some' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l memory-swap -d 'Limit of memory and swap together; -1 is no limit' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l kernel-memory -d 'Limit of kernel memory; ignored, kernels no longer have it' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l kernel-memory-tcp -d 'Limit of kernel memory for TCP; ignored' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l pids-limit -d 'Limit of processes and threads; -1 is no limit, 0 leaves it as it is' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l l3-cache-schema -d 'The L3 cache schema of Intel RDT' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -l mem-bw-schema -d 'The memory bandwidth schema of Intel RDT' -r
complete -c runhcs -n "__fish_runhcs_using_subcommand update" -s h -l help -d 'Print help'
