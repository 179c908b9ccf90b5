//! `cofferdam gc`: images that no container is made of.

use std::collections::HashSet;

use super::table::bytes;
use super::{Client, answered, print};
use crate::error::Result;
use crate::wire::v1::{ImageSpec, ListContainersRequest, ListImagesRequest, RemoveImageRequest};

/// Removes every image that is neither pinned nor used; prints what became free.
pub(crate) async fn gc(client: &mut Client) -> Result<()> {
    let containers = client.runtime.list_containers(ListContainersRequest::default()).await;
    let containers = answered(containers, || "list containers".to_owned())?.containers;
    let used: HashSet<String> = containers.into_iter().map(|container| container.image_id).collect();
    let images = client.images.list_images(ListImagesRequest::default()).await;
    let images = answered(images, || "list images".to_owned())?.images;
    let mut freed = 0;
    let mut removed = 0_usize;
    for image in images.into_iter().filter(|image| !image.pinned && !used.contains(&image.id)) {
        let spec = Some(ImageSpec { image: image.id.clone(), ..ImageSpec::default() });
        let request = RemoveImageRequest { image: spec };
        answered(client.images.remove_image(request).await, || format!("remove image {}", image.id))?;
        freed += image.size;
        removed += 1;
    }
    print(&format!("{removed} images removed, {} compressed\n", bytes(freed)))
}
