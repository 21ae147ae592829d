//! A KMS as a test wants it to be.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use crate::fake_http::{Answer, Request, serve};

#[derive(Clone)]
pub struct FakeKms {
    /// `http://`, with port.
    pub endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeKms {
    pub async fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::start_after(0, answer).await
    }

    /// Breaks as many connections before it answers.
    pub async fn start_after(
        mut broken: usize,
        answer: impl Fn(&Request) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if broken > 0 {
                    broken -= 1;
                    continue;
                }
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { endpoint, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}
