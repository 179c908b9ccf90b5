//! Fields that only some clients send: honoured, or refused by their names.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use cri::wire::v1::{
    CdiDevice, ImageFilter, ImageSpec, ImageStatusRequest, KeyValue, LinuxContainerResources,
    ListImagesRequest, Mount, PullImageRequest, RemoveImageRequest, UpdateContainerResourcesRequest,
    UpdatePodSandboxResourcesRequest, WindowsContainerConfig, WindowsContainerResources,
    WindowsPodSandboxConfig,
};
use tonic::{Code, Status};

use crate::cgroups;
use crate::leftovers::eventually;
use crate::node::Node;
use crate::pod::{World, spec};
use crate::registry::registry;
use crate::story::{Need, Story, alone, story};

pub(crate) const STORIES: &[Story] = &[
    story!(devices_of_a_vendor_are_given),
    story!(devices_that_nobody_describes_are_named),
    story!(a_pod_s_own_cgroup_is_given_new_limits, Need::Controller("memory")),
    story!(images_of_an_unknown_handler_are_refused),
    story!(what_is_for_windows_is_refused),
    story!(what_makes_no_sense_is_refused_by_name),
    story!(a_class_of_service_that_is_off_is_refused),
    story!(figures_are_there_for_prometheus),
    alone!(an_image_volume_outlives_its_image),
];

const VENDOR: &str = "
cdiVersion: 0.5.0
kind: suite.test/toy
containerEdits:
  env: [TOYS=all]
devices:
  - name: '1'
    containerEdits:
      env: [TOY=one]
      deviceNodes: [{path: /dev/toy, hostPath: /dev/zero, permissions: r}]
  - name: two
    containerEdits:
      mounts: [{hostPath: /proc/sys/kernel, containerPath: /toys, options: [rbind, ro]}]
";

fn devices_of_a_vendor_are_given(world: &World<'_>) {
    fs::write(world.node.path("cdi").join("toy.yaml"), VENDOR).unwrap();
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        config.cdi_devices = vec![CdiDevice { name: "suite.test/toy=1".to_owned() }];
        config.annotations.insert("cdi.k8s.io/plugin".to_owned(), "suite.test/toy=two".to_owned());
    });
    assert_eq!(container.sh("echo $TOYS $TOY"), "all one");
    assert_eq!(container.sh("test -c /dev/toy && head -c 3 /dev/toy | od -An -tx1"), "00 00 00");
    assert!(container.succeeds("test -e /toys/hostname"));
}

fn refused(made: Result<impl Sized, Status>, code: Code, words: &str) {
    let Err(status) = made else { panic!("{words:?} was not refused") };
    assert!(status.message().contains(words), "{words:?} is not in {status:?}");
    assert_eq!(status.code(), code, "{status:?}");
}

fn devices_that_nobody_describes_are_named(world: &World<'_>) {
    let pod = world.pod();
    let with = |name: &str| {
        pod.try_create("true", |config| config.cdi_devices = vec![CdiDevice { name: name.to_owned() }])
    };
    refused(with("suite.test/absent=7"), Code::InvalidArgument, "suite.test/absent=7");
    refused(with("no-name"), Code::InvalidArgument, "CDI_devices: \"no-name\"");
}

fn a_pod_s_own_cgroup_is_given_new_limits(world: &World<'_>) {
    let limit = |bytes| LinuxContainerResources { memory_limit_in_bytes: bytes, ..Default::default() };
    let pod = world.pod_with(|config| {
        let linux = config.linux.get_or_insert_default();
        linux.cgroup_parent = String::new();
        linux.resources = Some(limit(64 << 20));
    });
    let container = pod.idle();
    let of_container = cgroups::file_of(container.pid(), ("memory", "memory.limit_in_bytes"), "memory.max");
    let file = of_container.parent().unwrap().with_file_name(of_container.file_name().unwrap());
    let limited = || fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(limited(), (64 << 20).to_string());
    let change = |bytes| {
        let request = UpdatePodSandboxResourcesRequest {
            pod_sandbox_id: pod.id.clone(),
            resources: Some(limit(bytes)),
            overhead: None,
        };
        world.client.update_pod_sandbox_resources(request)
    };
    for bytes in [128 << 20, 96 << 20] {
        change(bytes).unwrap();
        assert_eq!(limited(), bytes.to_string());
    }
    assert!(change(4096).is_err(), "less than it uses");
    assert_eq!(limited(), (96 << 20).to_string());
}

fn images_of_an_unknown_handler_are_refused(world: &World<'_>) {
    world.image("busybox:1");
    let image = Some(ImageSpec {
        image: registry().name("busybox:1"),
        runtime_handler: "no-such-handler".to_owned(),
        ..Default::default()
    });
    let words = "image.runtime_handler: no runtime handler \"no-such-handler\"";
    let client = &world.client;
    let code = Code::InvalidArgument;
    let pull = PullImageRequest { image: image.clone(), auth: None, sandbox_config: None };
    refused(client.pull_image(pull), code, words);
    refused(client.image_status(ImageStatusRequest { image: image.clone(), verbose: false }), code, words);
    refused(client.remove_image(RemoveImageRequest { image: image.clone() }), code, words);
    let filter = Some(ImageFilter { image: image.clone() });
    refused(client.list_images(ListImagesRequest { filter }), code, words);
    let pod = world.pod();
    refused(pod.try_create("true", |config| config.image = image), code, words);
}

fn what_is_for_windows_is_refused(world: &World<'_>) {
    let code = Code::InvalidArgument;
    let windows = |config: &mut cri::wire::v1::PodSandboxConfig| {
        config.windows = Some(WindowsPodSandboxConfig::default());
    };
    refused(world.try_pod(windows), code, "config.windows");
    let pod = world.pod();
    let made = pod.try_create("true", |config| config.windows = Some(WindowsContainerConfig::default()));
    refused(made, code, "windows");
    let container = pod.idle();
    let request = UpdateContainerResourcesRequest {
        container_id: container.id.clone(),
        windows: Some(WindowsContainerResources::default()),
        ..Default::default()
    };
    refused(world.client.update_container_resources(request), code, "windows");
}

fn what_makes_no_sense_is_refused_by_name(world: &World<'_>) {
    let pod = world.pod();
    let code = Code::InvalidArgument;
    let variable = |key: &str| vec![KeyValue { key: key.to_owned(), value: b"1".to_vec() }];
    refused(pod.try_create("true", |config| config.envs = variable("A=B")), code, "envs: \"A=B\"");
    refused(pod.try_create("true", |config| config.envs = variable("")), code, "envs: \"\"");
    let mount = |mount: Mount| pod.try_create("true", |config| config.mounts = vec![mount]);
    let both = Mount {
        container_path: "/x".to_owned(),
        host_path: "/var".to_owned(),
        image: spec(&world.image("volume:1")),
        ..Default::default()
    };
    refused(mount(both.clone()), code, "the mount on /x has both host_path and image");
    let part = Mount { image: None, image_sub_path: "conf".to_owned(), ..both };
    refused(mount(part), code, "image_sub_path of the mount on /x needs an image");
    let checkpoint = pod.try_create("true", |config| config.image = spec("/var/lib/checkpoint.tar"));
    refused(checkpoint, Code::Unimplemented, "\"/var/lib/checkpoint.tar\" names a checkpoint");
}

fn a_class_of_service_that_is_off_is_refused(world: &World<'_>) {
    for (resource, words) in [("blockio", "qos.blockio_file"), ("rdt", "qos.rdt_file")] {
        let key = format!("{resource}.resources.beta.kubernetes.io/pod");
        let pod = world.pod_with(|config| {
            config.annotations.insert(key, "gold".to_owned());
        });
        refused(pod.try_create("true", |_| {}), Code::InvalidArgument, words);
    }
}

fn scrape(node: &Node) -> String {
    let mut stream = UnixStream::connect(node.path("figures.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn figures_are_there_for_prometheus(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let text = scrape(world.node);
    let has = |begin: &str| text.lines().any(|line| line.starts_with(begin));
    assert!(has("cofferdam_call_duration_seconds_count{method=\"RunPodSandbox\",code=\"OK\"}"), "{text}");
    assert!(has(&format!("container_memory_usage_bytes{{id=\"{}\"", container.id)), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

fn an_image_volume_outlives_its_image(node: &Node) {
    node.run();
    let world = World::new(node, "volume");
    let pod = world.pod();
    pod.idle();
    let layers =
        || fs::read_dir(node.path("root/layers")).unwrap().map(|entry| below(entry.unwrap().path())).sum();
    let before: usize = layers();
    let image = spec(&world.image("volume:1"));
    let mount = Mount { container_path: "/volume".to_owned(), image: image.clone(), ..Mount::default() };
    let container = pod.idle_with(|config| config.mounts = vec![mount]);
    world.client.remove_image(RemoveImageRequest { image }).unwrap();
    assert_eq!(container.sh("cat /volume/single"), "single");
    // At its start the daemon removes what nothing needs.
    node.kill_and_run();
    let world = World::new(node, "volume");
    assert_eq!(world.container_status(&container.id).mounts.len(), 1);
    let words = ["cat", "/volume/conf/a"].map(str::to_owned).to_vec();
    let request =
        cri::wire::v1::ExecSyncRequest { container_id: container.id.clone(), cmd: words, timeout: 10 };
    assert_eq!(world.client.exec_sync(request).unwrap().stdout, b"upper");
    let request = cri::wire::v1::RemoveContainerRequest { container_id: container.id.clone() };
    world.client.remove_container(request).unwrap();
    eventually("the end of the volume's layers", || layers() <= before);
}

/// Files and folders.
fn below(path: PathBuf) -> usize {
    if !path.is_dir() || path.is_symlink() {
        return 1;
    }
    1 + fs::read_dir(path).into_iter().flatten().flatten().map(|entry| below(entry.path())).sum::<usize>()
}
