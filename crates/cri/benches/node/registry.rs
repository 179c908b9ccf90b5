//! A registry that serves files as they are, so that what it costs is next to nothing. It is not in any contestant's
//! control group.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves what [`crate::image::build`] has written; ends with what it returns.
pub(crate) async fn serve(folder: &Path) -> Result<Registry> {
    let listener = TcpListener::bind("127.0.0.1:5000").await.context("listen as a registry")?;
    let folder = folder.to_owned();
    Ok(Registry(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let folder = folder.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| answer(&folder, request));
                // A client that goes away is its own affair.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })))
}

/// Dropped, it serves no more.
pub(crate) struct Registry(JoinHandle<()>);

impl Drop for Registry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer(folder: &Path, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let mut response = Response::new(Full::default());
    if path == "/v2/" {
        return Ok(response);
    }
    let Some((file, kind)) = find(folder, path) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let Ok(content) = tokio::fs::read(&file).await else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert("content-type", kind);
    }
    response.headers_mut().insert("content-length", content.len().into());
    if request.method() != Method::HEAD {
        *response.body_mut() = Full::new(content.into());
    }
    Ok(response)
}

/// The file of a request, and what it is.
fn find(folder: &Path, path: &str) -> Option<(PathBuf, &'static str)> {
    let path = path.strip_prefix("/v2/")?;
    if path.contains("..") {
        return None;
    }
    if let Some((name, tag)) = path.split_once("/manifests/") {
        let file = folder.join("manifests").join(name).join(tag);
        return Some((file, "application/vnd.oci.image.manifest.v1+json"));
    }
    let (_, digest) = path.split_once("/blobs/")?;
    Some((folder.join("blobs").join(digest), "application/octet-stream"))
}
