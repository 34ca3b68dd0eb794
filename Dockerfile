# One image for the web (daphne, the CMD) and for the workers (python manage.py runworker).
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    DJANGO_DEBUG=0 \
    QUEUECORE_HOME=/data \
    HOME=/data

WORKDIR /app

COPY requirements.txt ./
RUN pip install --quiet -r requirements.txt

COPY manage.py ./
COPY config ./config
COPY queuecore ./queuecore
COPY dashboard ./dashboard
COPY demo ./demo
COPY templates ./templates
COPY static ./static

# The keys are for this one command and are not kept: what runs must be given its own.
RUN DJANGO_SECRET_KEY=unused QUEUECORE_URL=redis://unused python manage.py collectstatic --no-input --verbosity 0

RUN mkdir -p /data && chown 10001:10001 /data
VOLUME /data
USER 10001:10001

EXPOSE 8000
CMD ["daphne", "--bind", "0.0.0.0", "--port", "8000", "config.asgi:application"]
