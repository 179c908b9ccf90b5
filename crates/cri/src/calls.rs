//! What every call of the interface has, whichever it is: a span of a trace, and its place among the figures.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use hyper::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::figures::Figures;
use crate::traces;

/// Looks at each call on its way in and out.
#[derive(Clone)]
pub(crate) struct Calls(pub(crate) Arc<Figures>);

/// A service whose calls are looked at.
#[derive(Clone)]
pub(crate) struct Watched<S> {
    inner: S,
    figures: Arc<Figures>,
}

impl<S> Layer<S> for Calls {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, figures: self.0.clone() }
    }
}

impl<S, In, Out> Service<Request<In>> for Watched<S>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    In: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or(("", &path));
        let span = traces::call(service, method, request.headers());
        let begun = Instant::now();
        let running = self.figures.call_begins();
        // The one that was asked whether it is ready is the one to be used.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let (figures, method) = (self.figures.clone(), method.to_owned());
        let answered = span.clone();
        let call = async move {
            let result = inner.call(request).await;
            // A stream's code is known when it has ended; until then it is well.
            let status =
                result.as_ref().ok().and_then(|response| Status::from_header_map(response.headers()));
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            traces::ended(&answered, code.into(), status.as_ref().map_or("", Status::message));
            figures.call_ends(&method, code, begun.elapsed());
            drop(running);
            result
        };
        Box::pin(call.instrument(span))
    }
}
