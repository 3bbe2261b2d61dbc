# inkproof on the CPU, as a user without rights. Build: docker build -t inkproof .
# Run, with the folder that holds the experiment file: docker run --rm -v "$PWD:/work" inkproof run my.toml
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE inkproof.py ./
COPY pipeline pipeline
COPY examples examples
COPY docs docs
# torch of the CPU's own index is a tenth of the size of that with CUDA
RUN python -m venv /opt/inkproof \
    && /opt/inkproof/bin/pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && /opt/inkproof/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libzbar0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/inkproof /opt/inkproof
RUN useradd --create-home --uid 1000 inkproof
USER inkproof
WORKDIR /work
ENV PATH=/opt/inkproof/bin:$PATH
ENTRYPOINT ["inkproof"]
CMD ["--help"]
