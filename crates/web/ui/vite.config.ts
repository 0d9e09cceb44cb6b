import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` serves the page with hot reload and asks a running `make run` for everything else.
const server = 'http://localhost:7880';

export default defineConfig({
  plugins: [react()],
  build: { target: 'es2022', chunkSizeWarningLimit: 1200 },
  server: {
    port: 5173,
    proxy: {
      ...Object.fromEntries(['/dev', '/settings', '/v1'].map((path) => [path, server])),
      // Not rewritten: the server tells browsers its chat port under the name they reach it by.
      '/rtc': { target: server, ws: true },
      '/im': { target: server, ws: true },
    },
  },
});
